"""Sends to ports of another host what no process of a group would send: stranger.py ADDRESS PORTS JOB. JOB is the number of an MPI
job, with which some messages pretend to be one of its processes. Prints how many connections were made."""

import random
import socket
import struct
import sys

# What Open MPI's processes send first: job, rank, and a mark.
GREETING = struct.Struct('>II16s')
ROUNDS = 1

address, ports, job = sys.argv[1], [int(port) for port in sys.argv[2].split(',')], int(sys.argv[3])
chance = random.Random(1)
connections = 0
for _ in range(ROUNDS):
    for port in ports:
        greeting = GREETING.pack(job, 1, b'OPAL-TCP-BTL')
        for data in (b'', b'GET / HTTP/1.1\r\n\r\n', b'\0' * 64, b'\xff' * 64, chance.randbytes(3), chance.randbytes(4000),
                     greeting[:10], greeting, greeting + chance.randbytes(400)):
            with socket.create_connection((address, port), timeout=5) as connection:
                connections += 1
                connection.settimeout(0.05)
                try:
                    connection.sendall(data)
                    connection.recv(100)
                except OSError:
                    pass  # no answer, or an end
print(connections)
