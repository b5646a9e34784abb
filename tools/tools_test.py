#!/usr/bin/env python3
"""Tests that each check of this folder accepts what is right and fails for what is wrong."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOLS))
from cpp_source import blank, functions  # noqa: E402
from joined_sources import make_units  # noqa: E402

GOOD_TREE = {
    'docs/architecture.md': '''
<!-- layers:begin -->
| folder | what | uses |
| --- | --- | --- |
| `base/` | errors | nothing |
| `tensor/` | shapes | base |
| `kernels/` | arithmetic | base, tensor |
| `cli/` | wiring | all |
<!-- layers:end -->
''',
    'src/base/CMakeLists.txt': 'dray_library(NAME base SRCS a.cc)',
    'src/base/a.h': '#pragma once\n#include <vector>\n',
    'src/tensor/CMakeLists.txt': 'dray_library(\n  NAME tensor\n  SRCS t.cc  # x\n  DEPS base)',
    'src/tensor/t.cc': '// #include "cli/main.h"\n#include "base/a.h"\nint F() { return 1; }\n',
    'src/kernels/CMakeLists.txt': 'dray_library(NAME kernels SRCS k.cc DEPS tensor LIBS fmt::fmt)',
    'src/kernels/k.cc': '#include "base/a.h"\n',  # reached through tensor
    'src/cli/CMakeLists.txt': 'dray_library(NAME cli SRCS main.cc DEPS kernels)',
    'src/cli/main.cc': '#include "kernels/k.h"\nint main() { return 0; }\n',
}


def run_check(check, changes=None):
    """Returns (exit status, output) of a check on GOOD_TREE with `changes` (path: text; None removes the file)."""
    tree = {**GOOD_TREE, **(changes or {})}
    with tempfile.TemporaryDirectory() as root:
        for name, text in tree.items():
            if text is not None:
                path = Path(root) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        done = subprocess.run([sys.executable, '-B', TOOLS / check, '--root', root], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


class CheckTest(unittest.TestCase):
    def assert_passes(self, check, changes=None):
        self.assertEqual(run_check(check, changes), (0, ''))

    def assert_fails(self, check, changes, *words):
        status, output = run_check(check, changes)
        self.assertEqual(status, 1, output)
        self.assertEqual(len(output.splitlines()), 1, output)
        for word in words:
            self.assertIn(word, output)


class LayersTest(CheckTest):
    def test_a_good_tree_passes(self):
        self.assert_passes('check_layers')

    def test_folders_side_by_side_form_no_loop(self):
        one_way = {'src/tensor/a/x.h': '#include "tensor/b/y.h"\n#include "tensor/t.h"\n',
                   'src/tensor/t.h': '#include "tensor/a/x.h"\n',
                   'src/tensor/b/y_test.cc': '#include "tensor/a/x.h"\n'}
        self.assert_passes('check_layers', one_way)
        self.assert_fails('check_layers', {**one_way, 'src/tensor/b/y.h': '#include "tensor/a/x.h"\n'},
                          'tensor/a, tensor/b: include each other', 'src/tensor/a/x.h', 'src/tensor/b/y.h')
        self.assert_fails('check_layers', {**one_way, 'src/tensor/b/y.h': '#include "tensor/c/z.h"\n',
                                           'src/tensor/c/z.cc': '#include "tensor/a/x.h"\n'},
                          'tensor/a, tensor/b, tensor/c')

    def test_an_include_upwards_fails(self):
        self.assert_fails('check_layers', {'src/base/b.cc': '\n#include "tensor/t.h"\n'},
                          'src/base/b.cc:2', 'base may not include tensor')

    def test_tests_keep_to_the_table_too(self):
        self.assert_fails('check_layers', {'src/base/b_test.cc': '#include "tensor/t.h"\n'},
                          'base may not include tensor')

    def test_an_include_by_dots_fails(self):
        self.assert_fails('check_layers', {'src/tensor/b.cc': '#include "../base/a.h"\n'}, 'goes up')

    def test_an_include_without_folder_fails(self):
        self.assert_fails('check_layers', {'src/base/b.cc': '#include "a.h"\n'},
                          'does not begin with a folder')

    def test_our_header_in_angles_fails(self):
        self.assert_fails('check_layers', {'src/tensor/b.cc': '#include <base/a.h>\n'}, 'is ours')

    def test_deps_that_the_table_forbids_fail(self):
        self.assert_fails('check_layers',
                          {'src/base/CMakeLists.txt': 'dray_library(NAME base SRCS a.cc DEPS cli)',
                           'src/cli/CMakeLists.txt': 'dray_library(NAME cli SRCS main.cc DEPS kernels)'},
                          'base may not have cli in DEPS')

    def test_deps_that_do_not_cover_the_includes_fail(self):
        self.assert_fails('check_layers',
                          {'src/tensor/CMakeLists.txt': 'dray_library(NAME tensor SRCS t.cc)',
                           'src/kernels/k.cc': ''},
                          'src/tensor', 'sources include base, DEPS lacks it')

    def test_a_folder_of_headers_alone_needs_no_deps(self):
        self.assert_passes('check_layers', {
            'src/base/CMakeLists.txt': None,
            'src/tensor/CMakeLists.txt': 'dray_library(NAME tensor SRCS t.cc)'})

    def test_a_folder_without_row_fails(self):
        self.assert_fails('check_layers', {'src/extra/x.h': '#pragma once\n'}, 'src/extra', 'no row')

    def test_a_row_without_folder_fails(self):
        table = GOOD_TREE['docs/architecture.md'].replace(
            '| `cli/`', '| `gone/` | nothing | base |\n| `cli/`')
        self.assert_fails('check_layers', {'docs/architecture.md': table}, 'gone', 'no src/gone')

    def test_a_cycle_in_the_table_fails(self):
        table = GOOD_TREE['docs/architecture.md'].replace('| errors | nothing', '| errors | base')
        self.assert_fails('check_layers', {'docs/architecture.md': table}, 'uses itself')

    def test_a_page_without_table_fails(self):
        status, output = run_check('check_layers', {'docs/architecture.md': 'words\n'})
        self.assertEqual(status, 1)
        self.assertIn('no table', output)


class SizesTest(CheckTest):
    LONG_FILE = {'src/base/long.cc': '// line\n' * 451}
    LONG_FUNCTION = {'src/base/long.cc': 'int F() {\n' + '  ++x;\n' * 79 + '}\n'}
    # So many that a few long functions are less than 5 %.
    SHORT_FUNCTIONS = {'src/base/short.cc': 'int F() { return 1; }\n' * 60}

    def test_a_good_tree_passes(self):
        self.assert_passes('check_sizes')

    def test_a_file_and_a_function_at_the_limit_pass(self):
        self.assert_passes('check_sizes', {'src/base/a.cc': '// line\n' * 450})
        at_limit = {'src/base/a.cc': 'int F() {\n' + '  ++x;\n' * 78 + '}\n'}
        self.assert_passes('check_sizes', {**self.SHORT_FUNCTIONS, **at_limit})

    def test_long_files_fail(self):
        self.assert_fails('check_sizes', self.LONG_FILE, 'src/base/long.cc', '451 lines')

    def test_long_functions_fail(self):
        self.assert_fails('check_sizes', {**self.SHORT_FUNCTIONS, **self.LONG_FUNCTION},
                          'src/base/long.cc:1', '81 lines')
        body = '    x = 1\n' * 80
        self.assert_fails('check_sizes', {**self.SHORT_FUNCTIONS, 'tools/t.py': f'def f():\n{body}'},
                          'tools/t.py:1', '81 lines')

    def test_one_function_in_twenty_may_be_long(self):
        body = {29: '  ++x;\n' * 27, 30: '  ++x;\n' * 28}  # by the function's lines
        others = 'int F() { return 1; }\n' * 36  # the good tree has two more
        for lines, num_long, passes in ((29, 3, True), (30, 2, True), (30, 3, False)):
            text = others + ('int G() {\n' + body[lines] + '}\n') * num_long
            if passes:
                self.assert_passes('check_sizes', {'src/base/a.cc': text})
            else:
                self.assert_fails('check_sizes', {'src/base/a.cc': text}, '3 of 41 functions', '30 lines')

    def test_a_folder_may_hold_25_files(self):
        # The good tree has two files in src/base.
        self.assert_passes('check_sizes', {f'src/base/f{i}.h': '' for i in range(23)})
        self.assert_fails('check_sizes', {f'src/base/f{i}.h': '' for i in range(24)}, 'src/base: 26 files')
        self.assert_passes('check_sizes', {f'tests/golden/models/f{i}.json': '' for i in range(40)})

    def test_an_exception_needs_a_reason_and_a_need(self):
        listed = {'tools/size_exceptions.txt': '# note\nsrc/base/long.cc: a table of data\n'}
        self.assert_passes('check_sizes', {**self.LONG_FILE, **listed})
        self.assert_fails('check_sizes', listed, 'needs no exception')
        status, output = run_check('check_sizes', {
            **self.LONG_FILE, 'tools/size_exceptions.txt': 'src/base/long.cc\n'})
        self.assertEqual(status, 1)
        self.assertIn('no reason', output)


class CallsTest(CheckTest):
    def test_a_good_tree_passes(self):
        self.assert_passes('check_calls')

    def test_each_forbidden_call_fails(self):
        for call in ('std::stoi(s)', 'atoi(s)', 'std::strtoul (s, 0, 10)', 'sprintf(b, "x")',
                     'alloca(n)', '::system("ls")', 'popen("ls", "r")', 'sscanf(s, "%d", &i)'):
            self.assert_fails('check_calls', {'src/base/b.cc': f'void F() {{\n  {call};\n}}\n'},
                              'src/base/b.cc:2', '()')

    def test_words_that_only_look_like_calls_pass(self):
        self.assert_passes('check_calls', {
            'src/base/b.cc': '// atoi(s)\nauto s = "system(1)";\nint snprintf(int);\n'
                             'void F() { m.system(1); m->system(1); atom.store(1); }\n'})


class IncludesTest(CheckTest):
    HEADER = 'src/tensor/b.h'
    NEEDS_VECTOR = 'std::vector<int> F();\n'

    def assert_header_passes(self, text):
        self.assert_passes('check_includes', {self.HEADER: f'#pragma once\n{text}'})

    def assert_header_fails(self, text, *words):
        self.assert_fails('check_includes', {self.HEADER: f'#pragma once\n{text}'}, *words)

    def test_a_good_tree_passes(self):
        self.assert_passes('check_includes')

    def test_a_name_without_its_header_fails(self):
        self.assert_header_fails(f'#include <string>\n{self.NEEDS_VECTOR}', f'{self.HEADER}:3', '<vector>')
        self.assert_header_fails('int64_t F();\n', f'{self.HEADER}:2', '<cstdint>')
        self.assert_header_fails('inline auto F() { return fmt::format("a"); }\n', '<fmt/format.h>')

    def test_a_header_of_ours_may_include_it(self):
        self.assert_header_passes(f'#include "base/a.h"\n{self.NEEDS_VECTOR}')

    def test_one_of_several_headers_is_enough(self):
        self.assert_header_passes('#include <fstream>\nvoid F(std::ostream& out);\n')
        self.assert_header_passes('#include <cstring>\nstd::size_t F();\n')

    def test_a_name_that_the_table_lacks_fails(self):
        self.assert_header_fails('std::strange_class F();\n', 'strange_class', 'table')

    def test_comments_and_strings_are_no_names(self):
        self.assert_header_passes('// std::vector\ninline auto s = "std::map";\n')

    def test_a_header_without_guard_fails(self):
        self.assert_fails('check_includes', {self.HEADER: '// #pragma once\n'}, f'{self.HEADER}:1', '#pragma once')

    def test_a_source_begins_with_its_own_header(self):
        self.assert_passes('check_includes', {'src/base/a.cc': '#include "base/a.h"\n#include <map>\n'})
        self.assert_fails('check_includes', {'src/base/a.cc': '\n#include <map>\n#include "base/a.h"\n'},
                          'src/base/a.cc:2', 'a.h is not the first')


class DocsTest(CheckTest):
    def test_a_good_tree_passes(self):
        self.assert_passes('check_docs')

    def test_paths_that_exist_pass(self):
        self.assert_passes('check_docs', {
            'docs/a.md': '[b](architecture.md#folders) [c](https://host/x) `base/` `src/base/a.h`\n'
                         '`build/release/dray` `POST /generate` `other/x.h` `std::a/b`\n'
                         '```sh\n`base/gone.h`\n```\n'})

    def test_paths_that_are_gone_fail(self):
        for text in ('a\n[b](gone.md)', 'a\n`base/gone.h`', 'a\n`src/base/gone/`', '```\n```[b](../gone.md)'):
            self.assert_fails('check_docs', {'docs/a.md': text}, 'docs/a.md:2', 'gone')

    def test_other_readmes_are_checked(self):
        self.assert_fails('check_docs', {'bench/peers/README.md': '`kernels/gone.h`'}, 'README.md:1')


class BuildTimesTest(unittest.TestCase):
    LOG = ('# ninja log v5\n'
           '0\t2000\t1\ta.o\t1f\n'
           '0\t9000\t1\told.o\t1f\n'
           '1000\t7000\t1\tb.o\t2f\n'
           '7000\t8500\t1\tlib.a\t3f\n'
           '7000\t8500\t1\tlib.map\t3f\n'
           '0\t1000\t1\told.o\t4f\n')

    def run_on(self, log, *options):
        with tempfile.TemporaryDirectory() as folder:
            if log is not None:
                (Path(folder) / '.ninja_log').write_text(log)
            return subprocess.run([sys.executable, '-B', TOOLS / 'build_times', *options, folder], text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_times_are_summed_and_the_longest_come_first(self):
        done = self.run_on(self.LOG, '--top', '2')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            '     8.5 s wall',
            '    10.5 s in 4 jobs; the longest:',
            '     6.0 s  57.1 %  b.o',
            '     2.0 s  19.0 %  a.o'])

    def test_a_folder_without_a_build_is_told(self):
        for log in (None, '', 'words\n', '# ninja log v5\n', '# ninja log v5\n1\t2\ta.o\n'):
            done = self.run_on(log)
            self.assertEqual((done.returncode, done.stdout), (1, ''))
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class JoinedSourcesTest(unittest.TestCase):
    SOURCES = {
        'a.cc': 'namespace dray {\nnamespace {\nconstexpr int kSize = 3;\nint Twice(int x) {\n  return 2 * x;\n}\n'
                '}  // namespace\nint A() {\n  return Twice(kSize);\n}\n}  // namespace dray\n',
        'b.cc': 'namespace {\nint Twice(int x) {\n  return x + x;\n}\n}  // namespace\n',
        'c.cc': 'namespace {\nclass Half {};\n}  // namespace\nusing Twice = int;\n',
        'd.cc': 'int D() {\n  int kSize = 1;\n  return kSize;\n}\n',
        'e.cc': 'namespace {\nclass Half {};\n}  // namespace\n'}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, text in self.SOURCES.items():
            (Path(folder.name) / name).write_text(text)
        self.paths = [str(Path(folder.name) / name) for name in self.SOURCES]

    def units(self, size):
        return [''.join(Path(path).stem for path in unit) for unit in make_units(self.paths, size)]

    def test_sources_with_a_local_name_in_common_are_apart(self):
        self.assertEqual(self.units(8), ['ade', 'b', 'c'])

    def test_units_have_a_size(self):
        self.assertEqual(self.units(2), ['ad', 'be', 'c'])

    def test_a_unit_is_printed_for_each_source(self):
        done = subprocess.run([sys.executable, '-B', TOOLS / 'joined_sources.py', '8', *self.paths], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout), (0, '0\n1\n2\n0\n0\n'))


class CppSourceTest(unittest.TestCase):
    def test_blank_keeps_lines_and_code(self):
        text = 'a; // {\nb("{\\"}"); /* {\n */ c(R"x({)" )x"); d = \'{\'; e = 1\'000;'
        blanked = blank(text)
        self.assertEqual(blanked.count('\n'), text.count('\n'))
        self.assertNotIn('{', blanked)
        for word in ('a;', 'b(', 'c(', 'd =', "e = 1'000;"):
            self.assertIn(word, blanked)

    def test_functions_are_found_where_they_stand(self):
        text = '''namespace a {
class [[nodiscard]] B {
 public:
  int Get() const { return v_; }
 private:
  int v_ = {};
};
constexpr int kTable[] = {
    1, 2,
};
#define MACRO(x) \\
  if (x) {
template <typename T>
T B::F(int a,
       int b) {
  auto g = [&] {
    for (;;) {}
  };
}
}  // namespace a
'''
        self.assertEqual([(first, last) for first, last, _ in functions(text)], [(4, 4), (13, 19)])


if __name__ == '__main__':
    unittest.main()
