#!/usr/bin/env python3
"""A check that finds nothing proves nothing: every rule of layers.py is broken here once, in a temporary tree."""
import tempfile
import unittest
from pathlib import Path

import layers


class LayersTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        for name in ('base', 'log', 'kv', 'engine'):
            self.write(f'src/{name}/README.md', 'what lives here\n')
        self.write('src/engine/engine.cc', '#include "engine/engine.h"\n#include "log/log.h"\n#include <vector>\n')
        self.write('src/kv/store.cc', '#include <rocksdb/db.h>\n#include "base/types.h"\n')

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(self):
        return layers.breaches(self.root)[1]

    def assert_found(self, place, what):
        found = self.found()
        self.assertTrue(any(f.startswith(place) and what in f for f in found), found)
        self.assertEqual(len(found), 1, found)

    def test_a_tree_that_keeps_the_rules_passes(self):
        self.assertEqual(self.found(), [])

    def test_a_higher_floor(self):
        self.write('src/log/log.cc', '\n#include "engine/engine.h"\n')
        self.assert_found('src/log/log.cc:2', 'must not use engine/')

    def test_the_same_floor(self):
        self.write('src/log/log.h', '  #  include "kv/store.h"\n')
        self.assert_found('src/log/log.h:1', 'must not use kv/')

    def test_a_folder_that_does_not_exist(self):
        self.write('src/log/log.h', '#include "util/store.h"\n')
        self.assert_found('src/log/log.h:1', 'no folder')

    def test_an_outside_library_in_the_wrong_folder(self):
        for header in ('rocksdb/db.h', 'grpcpp/grpcpp.h', 'curl/curl.h', 'lua5.1/lua.h',
                       'lua.h', 'hiredis/hiredis.h', 'absl/synchronization/mutex.h'):
            with self.subTest(header=header):
                self.write('src/engine/other.cc', f'#include <{header}>\n')
                self.assert_found('src/engine/other.cc:1', '')

    def test_a_folder_without_a_floor_or_a_readme(self):
        self.write('src/helpers/README.md', '')
        self.assert_found('src/helpers', 'no floor')
        (self.root / 'src/helpers/README.md').unlink()
        (self.root / 'src/helpers').rmdir()
        (self.root / 'src/kv/README.md').unlink()
        self.assert_found('src/kv', 'README')

    def test_a_file_that_is_too_long(self):
        self.write('src/base/long.h', '\n' * (layers.LINES_MAX + 1))
        self.assert_found('src/base/long.h', 'lines')

    def test_something_left_to_do(self):
        self.write('tests/process/a_test.py', '# TO' 'DO: later\n')
        self.assert_found('tests/process/a_test.py:1', 'left to do')


if __name__ == '__main__':
    unittest.main()
