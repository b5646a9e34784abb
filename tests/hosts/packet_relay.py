"""A network whose packets are lost, delayed and put in another order: TUN devices, each in a namespace of its own, and a thread
that passes packets on between them. It stands in for netem, which not every kernel has."""

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import struct
import threading
import time

TUNSETIFF = 0x400454ca  # linux/if_tun.h
IFF_TUN_NO_PI = 0x0001 | 0x1000  # packets of IP, with nothing before them
CLONE_NEWNET = 0x40000000  # linux/sched.h
LARGEST_PACKET = 65536
LOSS = 0.01  # of all packets
DELAY_S = 0.001
JITTER_S = 0.002  # on top of the delay, by chance: packets overtake each other


class PacketRelay:
    """Threads: owns one, which enters the namespaces to open their devices. The caller gives them addresses."""

    def __init__(self, namespaces, addresses, device):
        self.devices = {}  # {address as in a packet: descriptor}
        self.lost = self.passed = 0
        self.wake, self.waker = os.pipe()
        self.is_open = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self.run, args=(namespaces, addresses, device))
        self.thread.start()
        self.is_open.wait()
        if self.error:
            self.close()
            raise self.error

    def close(self):
        os.close(self.waker)
        self.thread.join()
        for descriptor in [*self.devices.values(), self.wake]:
            os.close(descriptor)

    def run(self, namespaces, addresses, device):
        try:
            for namespace, address in zip(namespaces, addresses):
                key = bytes(int(part) for part in address.split('.'))
                self.devices[key] = self.open_device(namespace, device)
        except OSError as error:
            self.error = error
        self.is_open.set()
        if not self.error:
            self.pass_packets()

    def open_device(self, namespace, device):
        with open(f'/run/netns/{namespace}') as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), 'setns')
        descriptor = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack('16sH22x', device.encode(), IFF_TUN_NO_PI))
        return descriptor

    def pass_packets(self):
        chance = random.Random(1)
        selector = selectors.DefaultSelector()
        for descriptor in [*self.devices.values(), self.wake]:
            selector.register(descriptor, selectors.EVENT_READ)
        waiting = []  # a heap of (time, number, device, packet)
        while True:
            timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            for key, _ in selector.select(timeout):
                if key.fd == self.wake:
                    return
                packet = os.read(key.fd, LARGEST_PACKET)
                device = self.devices.get(packet[16:20])  # the destination
                if device is None or chance.random() < LOSS:
                    self.lost += 1
                    continue
                self.passed += 1
                due = time.monotonic() + DELAY_S + chance.random() * JITTER_S
                heapq.heappush(waiting, (due, self.passed, device, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(waiting)
                try:
                    os.write(device, packet)
                except OSError:
                    self.lost += 1  # the device is down
