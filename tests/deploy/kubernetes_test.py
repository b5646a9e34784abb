#!/usr/bin/python3
"""Tests deploy/kubernetes/: every field exists in Kubernetes' own model of its objects, and what the files say of dray is
true of its image. Needs Debian's python3-yaml and python3-kubernetes (tools/packages_judges.txt)."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import container_file  # noqa: E402

try:
    import kubernetes.client
    import yaml
except ImportError:
    print('python3-yaml and python3-kubernetes are not installed')
    sys.exit(77)  # by which CTest knows that the test was skipped

SOURCE = HERE.parent.parent
FILES = sorted((SOURCE / 'deploy/kubernetes').glob('*.yaml'))
MODELS = {('apps/v1', 'Deployment'): 'V1Deployment', ('apps/v1', 'StatefulSet'): 'V1StatefulSet', ('v1', 'Service'): 'V1Service',
          ('networking.k8s.io/v1', 'NetworkPolicy'): 'V1NetworkPolicy'}


def faults(value, type_name, path):
    """What is wrong with a value that should have a type of Kubernetes' model: list[V1Container], dict(str, str), V1Pod, ..."""
    if value is None:
        return [f'{path}: has no value']
    if type_name.startswith('list['):
        inner = type_name[len('list['):-1]
        if not isinstance(value, list):
            return [f'{path}: must be a list']
        return [fault for i, item in enumerate(value) for fault in faults(item, inner, f'{path}[{i}]')]
    if type_name.startswith('dict('):
        inner = type_name[len('dict('):-1].split(', ')[1]
        if not isinstance(value, dict):
            return [f'{path}: must be an object']
        return [fault for key, item in value.items() for fault in faults(item, inner, f'{path}.{key}')]
    if type_name == 'object':  # a number or a text, such as a port
        return [] if isinstance(value, (int, str)) else [f'{path}: must be a number or a text']
    simple = {'str': str, 'int': int, 'bool': bool}
    if type_name in simple:
        return [] if type(value) is simple[type_name] else [f'{path}: must be {type_name}, not {value!r}']
    return object_faults(value, getattr(kubernetes.client, type_name), path)


def object_faults(value, model, path):
    if not isinstance(value, dict):
        return [f'{path}: must be an object']
    attribute_of = {name: attribute for attribute, name in model.attribute_map.items()}
    found = [f'{path}.{key}: Kubernetes has no such field' for key in value if key not in attribute_of]
    for key, item in value.items():
        if key in attribute_of:
            found += faults(item, model.openapi_types[attribute_of[key]], f'{path}.{key}')
    if found:
        return found
    known = {attribute_of[key]: item for key, item in value.items()}
    try:  # the constructor asks for what must be there
        model(local_vars_configuration=checking(), **known)
    except ValueError as error:
        return [f'{path}: {error}']
    return []


def checking():
    configuration = kubernetes.client.Configuration()
    configuration.client_side_validation = True
    return configuration


def objects(path):
    return [entry for entry in yaml.safe_load_all(path.read_text()) if entry]


class FaultsTest(unittest.TestCase):
    def test_are_found(self):
        port = {'name': 'http', 'containerPort': 8080}
        self.assertEqual(faults(port, 'V1ContainerPort', 'p'), [])
        self.assertEqual(faults({**port, 'port': 1}, 'V1ContainerPort', 'p'), ['p.port: Kubernetes has no such field'])
        self.assertEqual(faults({'containerPort': '8080'}, 'V1ContainerPort', 'p'),
                         ["p.containerPort: must be int, not '8080'"])
        self.assertIn('must not be `None`', faults({'name': 'http'}, 'V1ContainerPort', 'p')[0])
        self.assertEqual(faults({'a': True}, 'dict(str, str)', 'p'), ['p.a: must be str, not True'])


class FilesTest(unittest.TestCase):
    def test_fields_exist(self):
        self.assertTrue(FILES)
        for path in FILES:
            for entry in objects(path):
                model = MODELS[entry['apiVersion'], entry['kind']]
                self.assertEqual(faults(entry, model, f'{path.name}: {entry["kind"]}'), [])

    def test_selectors_find_the_pods(self):
        for path in FILES:
            entries = objects(path)
            workloads = [entry for entry in entries if 'template' in entry.get('spec', {})]
            labels = [entry['spec']['template']['metadata']['labels'] for entry in workloads]
            # Kubernetes itself adds this label to the pods of a StatefulSet.
            labels += [{**pod, 'statefulset.kubernetes.io/pod-name': f'{entry["metadata"]["name"]}-0'}
                       for pod, entry in zip(labels, workloads) if entry['kind'] == 'StatefulSet']
            selectors = [entry['spec'].get('selector') or entry['spec']['podSelector'] for entry in entries]
            selectors = [selector.get('matchLabels', selector) for selector in selectors]
            for selector in selectors:
                self.assertTrue(any(selector.items() <= pod.items() for pod in labels), (path.name, selector))

    def test_pods_fit_the_image(self):
        image = container_file.read(SOURCE / 'deploy/container/Containerfile')[-1]
        for path in FILES:
            entries = objects(path)
            pods = [entry['spec']['template']['spec'] for entry in entries if 'template' in entry.get('spec', {})]
            for pod in pods:
                container, = pod['containers']
                ports = {port['name']: port['containerPort'] for port in container['ports']}
                self.assertEqual(str(ports['http']), image.last('EXPOSE'))
                for probe in ('startupProbe', 'readinessProbe', 'livenessProbe'):
                    if path.name == 'server.yaml':
                        self.assertEqual(container[probe]['httpGet'], {'path': '/ping', 'port': 'http'})
                    else:  # the first pod asks /ping, the others have no server
                        self.assertEqual(container[probe]['exec'], {'command': ['dray-pod', 'ready']})
                mounts = {mount['name']: mount['mountPath'] for mount in container['volumeMounts']}
                self.assertEqual(mounts['model'], '/opt/ml/model')
                self.assertEqual(set(mounts), {volume['name'] for volume in pod['volumes']})
                self.assertGreater(pod['terminationGracePeriodSeconds'], self.drain_timeout())

    def drain_timeout(self):
        page = (SOURCE / 'docs/configuration.md').read_text()
        row, = [line for line in page.splitlines() if line.startswith('| `drain_timeout`')]
        return int(row.split('|')[3])

    def test_the_group_has_as_many_hosts_as_pods(self):
        group, ranks, *_ = objects(SOURCE / 'deploy/kubernetes/group.yaml')
        name, service = group['metadata']['name'], ranks['metadata']['name']
        container, = group['spec']['template']['spec']['containers']
        variables = {variable['name']: variable['value'] for variable in container['env']}
        expected = [f'{name}-{i}.{service}' for i in range(group['spec']['replicas'])]
        self.assertEqual(variables['GROUP_HOSTS'].split(), expected)
        self.assertEqual(group['spec']['serviceName'], service)
        script = (SOURCE / 'deploy/group/dray-pod').read_text()
        ssh, = [port['containerPort'] for port in container['ports'] if port['name'] == 'ssh']
        self.assertIn(f'\nport={ssh}\n', script)
        for variable in variables:
            self.assertIn(variable, script)

    def test_the_scraped_port_is_the_servers(self):
        template = objects(SOURCE / 'deploy/kubernetes/server.yaml')[0]['spec']['template']
        container = template['spec']['containers'][0]
        self.assertEqual(template['metadata']['annotations']['prometheus.io/port'], str(container['ports'][0]['containerPort']))


if __name__ == '__main__':
    unittest.main()
