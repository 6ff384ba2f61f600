#!/usr/bin/python3
"""redis-cli as an operator uses it: single commands, RESP3, a mass load, scanning, sampling."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'process'))
import tidemark_process  # noqa: E402


class RedisCliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = tidemark_process.Node().start()

    @classmethod
    def tearDownClass(cls):
        cls.node.close()

    def setUp(self):
        self.assertEqual(self.cli('FLUSHALL'), 'OK')

    def cli(self, *words, stdin=None):
        command = ['redis-cli', '-p', str(self.node.port), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().rstrip('\n')

    def test_single_commands(self):
        self.assertEqual(self.cli('SET', 'greeting', 'hello'), 'OK')
        self.assertEqual(self.cli('GET', 'greeting'), 'hello')
        self.assertEqual(self.cli('-n', '3', 'GET', 'greeting'), '')
        self.assertIn('WRONGTYPE', self.cli('HGET', 'greeting', 'field'))

    def test_resp3_prints_a_map_as_a_map(self):
        self.cli('HSET', 'h', 'field', 'value')
        self.assertEqual(self.cli('-3', '--no-raw', 'HGETALL', 'h'), '1# "field" => "value"')

    def test_a_script_of_commands_from_standard_input(self):
        self.assertEqual(self.cli(stdin=b'MULTI\nINCR n\nINCRBY n 41\nEXEC\n').splitlines()[-2:], ['1', '42'])

    def test_mass_load_through_pipe(self):
        requests = b''.join(tidemark_process.encode('SET', f'key:{i}', i) for i in range(10_000))
        self.assertIn('errors: 0, replies: 10000', self.cli('--pipe', stdin=requests))
        self.assertEqual(self.cli('DBSIZE'), '10000')
        self.assertEqual(len(set(self.cli('--scan', '--pattern', 'key:*').splitlines())), 10_000)

    def test_sampling_the_key_space(self):
        self.cli('SET', 'small', 'x')
        self.cli('SET', 'large', 'x' * 5000)
        self.assertIn('Biggest string found', self.cli('--bigkeys'))


if __name__ == '__main__':
    unittest.main()
