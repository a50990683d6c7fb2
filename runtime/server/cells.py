# SPDX-License-Identifier: GPL-2.0-or-later
"""Python cells of azm-runtime-server, run by the image's own python3 (3.6 or newer).

Descriptor 3 is a socket: a line of JSON comes in for each cell, one goes out when the cell is done. What a cell prints,
or what its programs print, goes to descriptors 1 and 2, which the server reads. With IPython in the image cells are run
by IPython, else by what is below: expressions are shown, `!command`, `%pip` and `await` work.
"""
import ast
import base64
import builtins
import importlib
import importlib.util
import inspect
import io
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import tokenize
import traceback
import types

BACKEND = 'azm_cells_backend'
SKILLS = '/openhands/code'
images = []
running = False


def add_image(png):
    images.append(png if isinstance(png, str) else base64.b64encode(png).decode('ascii'))


# ---- matplotlib: figures become images when they are shown, and at the end of the cell ----


def flush_figures(*_, **__):
    plt = sys.modules.get('matplotlib.pyplot')
    if plt is None or plt.get_backend() != 'module://' + BACKEND:
        return
    for number in plt.get_fignums():
        figure = plt.figure(number)
        sys.stdout.write(repr(figure))
        add_image(figure_png(figure))
    plt.close('all')


def figure_png(figure):
    out = io.BytesIO()
    figure.savefig(out, format='png', bbox_inches='tight')
    return out.getvalue()


class BackendFinder:
    """Makes the matplotlib backend when matplotlib asks for it: importing it here would be slow for everybody else."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name == BACKEND else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from matplotlib.backend_bases import FigureManagerBase
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        module.FigureCanvas = FigureCanvasAgg
        module.FigureManager = FigureManagerBase
        module.show = flush_figures


# ---- cells without IPython ----


def shell(command):
    """Run a command line; its output is the cell's."""
    sys.stdout.flush()
    subprocess.call(command, shell=True, executable='/bin/bash' if os.access('/bin/bash', os.X_OK) else None)


def shell_lines(command):
    sys.stdout.flush()
    return subprocess.run(command, shell=True, stdout=subprocess.PIPE, universal_newlines=True).stdout.splitlines()


def pip(arguments):
    shell('%s -m pip %s' % (sys.executable, arguments))
    print('Note: you may need to restart the kernel to use updated packages.')


def unknown_magic(name):
    print('UsageError: Line magic function `%%%s` not found (there is no IPython in this image).' % name)


MAGICS = (
    (r'(\s*)!(.*)', r'\1__azm_cells.shell(%r)'),
    (r'(\s*[\w, ]+=\s*)!(.*)', r'\1__azm_cells.shell_lines(%r)'),
    (r'(\s*)%pip\s+(.*)', r'\1__azm_cells.pip(%r)'),
    (r'(\s*)%cd\s+(.*)', r'\1__import__("os").chdir(%r)'),
    (r'(\s*)%(matplotlib|autoreload|load_ext)\b.*', r'\1pass  # %r'),
    (r'(\s*)%(\w+).*', r'\1__azm_cells.unknown_magic(%r)'),
)


def inside_something(text):
    """Whether the text ends within a string or brackets, where '!' and '%' mean other things."""
    try:
        for _ in tokenize.generate_tokens(io.StringIO(text).readline):
            pass
    except (tokenize.TokenError, SyntaxError):
        return True
    return False


def translate_line(line, before):
    for pattern, replacement in MAGICS:
        found = re.match(pattern + '$', line)
        if found and not inside_something(before):
            return found.expand(replacement.split('%r')[0]) + repr(found.group(2).strip()) + replacement.split('%r')[1]
    return line


def translate(code):
    """The commands and magics of IPython as Python."""
    whole = re.match(r'\s*%%(bash|sh)\b[^\n]*\n(.*)', code, re.DOTALL)
    if whole:
        return '__azm_cells.shell(%r)' % whole.group(2)
    lines = []
    for line in code.split('\n'):
        lines.append(translate_line(line, '\n'.join(lines) + '\n') if '!' in line or '%' in line else line)
    return '\n'.join(lines)


class PlainShell:
    def __init__(self):
        self.count = 0
        main = types.ModuleType('__main__')
        sys.modules['__main__'] = main
        self.names = main.__dict__
        self.names.update(__builtins__=builtins, display=self.display,
                          __azm_cells=types.SimpleNamespace(shell=shell, shell_lines=shell_lines, pip=pip, unknown_magic=unknown_magic))
        sys.displayhook = self.show_value
        self.loop = None

    def display(self, *values):
        for value in values:
            sys.stdout.write(repr(value))
            kind = type(value)
            if kind.__module__ == 'matplotlib.figure' and kind.__name__ == 'Figure':
                add_image(figure_png(value))
            elif hasattr(kind, '_repr_png_'):
                png = value._repr_png_()
                if png:
                    add_image(png[0] if isinstance(png, tuple) else png)

    def show_value(self, value):
        if value is not None:
            self.names['_'] = value
            self.display(value)

    def parse(self, code, name):
        try:
            return ast.parse(code, name)
        except SyntaxError:
            translated = translate(code)
            if translated == code:
                raise
            return ast.parse(translated, name)

    def evaluate(self, node, name, mode):
        compiled = compile(node, name, mode, getattr(ast, 'PyCF_ALLOW_TOP_LEVEL_AWAIT', 0))
        result = eval(compiled, self.names)
        if inspect.iscoroutine(result):
            import asyncio
            self.loop = self.loop or asyncio.new_event_loop()
            self.loop.run_until_complete(result)

    def run(self, code):
        self.count += 1
        name = '<cell %d>' % self.count
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        try:
            tree = self.parse(code, name)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(';') else None
            if tree.body:
                self.evaluate(tree, name, 'exec')
            if last:
                self.evaluate(ast.Interactive([last]), name, 'single')
        except BaseException as error:
            self.show_error(error)

    def show_error(self, error):
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.stdout.write(''.join(traceback.format_exception(type(error), error, trace)))


# ---- cells with IPython ----


def ipython_shell():
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type
    from traitlets.config import Config

    def show(data):
        if 'text/plain' in data:
            sys.stdout.write(data['text/plain'])
        if data.get('image/png'):
            add_image(data['image/png'])

    class Hook(DisplayHook):
        code = ''

        def quiet(self):
            return self.code.rstrip().endswith(';')

        def write_output_prompt(self):
            pass

        def write_format_data(self, format_dict, md_dict=None):
            show(format_dict)

        def finish_displayhook(self):
            sys.stdout.flush()

    class Publisher(DisplayPublisher):
        def publish(self, data, metadata=None, *args, **kwargs):
            show(data)

    class Shell(InteractiveShell):
        displayhook_class = Type(Hook)
        display_pub_class = Type(Publisher)

        def _showtraceback(self, etype, evalue, stb):
            sys.stdout.write(stb if isinstance(stb, str) else '\n'.join(stb))

        def system(self, cmd):
            shell(self.var_expand(cmd, depth=1))

        def enable_gui(self, gui=None):
            pass

    config = Config()
    config.HistoryManager.enabled = False
    instance = Shell.instance(config=config)
    for name in ('nocolor', 'NoColor'):  # the first one since IPython 9; the server removes colours anyhow
        try:
            instance.colors = name
            break
        except Exception:
            pass
    return instance


class IPythonShell:
    def __init__(self):
        self.shell = ipython_shell()

    def run(self, code):
        self.shell.displayhook.code = code
        self.shell.run_cell(code, store_history=False)


def best_shell():
    try:
        return IPythonShell()
    except Exception:
        return PlainShell()


# ---- the server's side ----


def on_interrupt(number, frame):
    if running:
        raise KeyboardInterrupt


def load_skills(interpreter):
    """Upstream's image has functions that its agents expect in every cell."""
    if os.path.isdir(SKILLS + '/openhands/runtime/plugins/agent_skills'):
        sys.path.insert(0, SKILLS)
        interpreter.run('try:\n    from openhands.runtime.plugins.agent_skills.agentskills import *\nexcept Exception:\n    pass')


def run_cell(interpreter, code):
    global running
    try:
        running = True
        try:
            interpreter.run(code)
            flush_figures()
        finally:
            running = False
    except BaseException:  # interrupted between the lines above, or a figure that cannot be drawn
        traceback.print_exc()


def follow(directory, last):
    if directory != last:
        try:
            os.chdir(directory)
        except OSError:
            pass
    return directory


def main():
    global __file__
    __file__ = main.__code__.co_filename
    control = os.fdopen(3, 'r+b', buffering=0)
    requests = io.BufferedReader(control)
    os.set_inheritable(3, False)
    signal.signal(signal.SIGINT, on_interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(line_buffering=True, encoding='utf-8', errors='replace')
    sys.argv, sys.path[0] = [''], ''
    sys.meta_path.insert(0, BackendFinder())
    os.environ.setdefault('MPLBACKEND', 'module://' + BACKEND)
    os.environ.update(PAGER='cat', GIT_PAGER='cat', TERM='dumb')
    directory, init, interpreter = None, '', None
    for line in requests:
        request = json.loads(line.decode('utf-8'))
        directory = follow(request['cwd'], directory)
        if interpreter is None:
            interpreter = best_shell()
            load_skills(interpreter)
        importlib.invalidate_caches()
        if request['init'] != init:
            init = request['init']
            run_cell(interpreter, init)
        run_cell(interpreter, request['code'])
        sys.stdout.flush()
        sys.stderr.flush()
        answer = json.dumps({'images': images, 'python': sys.executable})
        del images[:]
        with memoryview(answer.encode('ascii') + b'\n') as left:
            while left:
                left = left[control.write(left):]


main()
