#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The console page in headless Chromium: AZM_TEST_URL and AZM_TEST_KEY name the server. console.py TEST...: by name.

Chromium is driven over the pipe of its debugging protocol; nothing but the standard library is needed. Its own sandbox is off: it runs
as an id that may not make one, and the page is ours.
"""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

URL = os.environ['AZM_TEST_URL']
KEY = os.environ.get('AZM_TEST_KEY', '')
BROWSER = os.environ.get('AZM_BROWSER') or shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
EVIL = '<img src=x onerror="document.title=\'owned\'">'


class Browser:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix='azm-browser.')
        to_browser, self.to = os.pipe()
        self.answers, from_browser = os.pipe()

        def descriptors():  # the browser reads 3 and writes 4
            os.dup2(to_browser, 10)
            os.dup2(from_browser, 11)
            os.dup2(10, 3)
            os.dup2(11, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            [BROWSER, '--headless=new', '--no-sandbox', '--remote-debugging-pipe', '--user-data-dir=' + self.home, '--disable-gpu',
             '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-sync',
             '--disable-component-update', '--no-proxy-server', '--window-size=1000,700', 'about:blank'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=descriptors,
            env={**os.environ, 'HOME': self.home, 'XDG_RUNTIME_DIR': self.home})
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events = b'', 0, []

    def receive(self):
        while b'\0' not in self.buffer:
            data = os.read(self.answers, 1 << 16)
            if not data:
                raise RuntimeError('the browser is gone')
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': parameters, **({'sessionId': session} if session else {})}
        os.write(self.to, json.dumps(message).encode() + b'\0')
        while True:
            answer = self.receive()
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError('%s: %s' % (method, answer['error']))
                return answer['result']
            self.events.append(answer)

    def stop(self):
        try:
            self.call('Browser.close')
        except (OSError, RuntimeError):
            pass
        os.close(self.to)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.answers)
        shutil.rmtree(self.home, ignore_errors=True)


class Page:
    def __init__(self, browser, address, phone=False):
        self.browser = browser
        self.context = browser.call('Target.createBrowserContext')['browserContextId']
        self.target = browser.call('Target.createTarget', url='about:blank', browserContextId=self.context)['targetId']
        self.session = browser.call('Target.attachToTarget', targetId=self.target, flatten=True)['sessionId']
        self.first_event = len(browser.events)
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(domain + '.enable')
        if phone:
            self.call('Emulation.setDeviceMetricsOverride', width=360, height=640, deviceScaleFactor=2, mobile=True)
            self.call('Emulation.setTouchEmulationEnabled', enabled=True, maxTouchPoints=1)
        self.call('Page.navigate', url=address)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def js(self, expression):
        result = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in result:
            raise AssertionError('%s: %s' % (expression, result['exceptionDetails'].get('exception', {}).get('description')))
        return result['result'].get('value')

    def wait(self, expression, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.js('Boolean(%s)' % expression):
                    return
            except (AssertionError, RuntimeError):  # the page is being loaded
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                raise AssertionError('still not true: %s\nscreen: %s' % (expression, self.js('document.body.innerText')))
            time.sleep(0.05)

    def wait_text(self, id, text, seconds=60):
        self.wait('document.getElementById(%s).textContent.includes(%s)' % (json.dumps(id), json.dumps(text)), seconds)

    def wait_prompt(self):
        self.wait("[...document.querySelectorAll('#lines > div:not(.cursor)')].map(row => row.textContent.trim())"
                  ".filter(Boolean).pop() === 'prompt>'")

    def click(self, selector):
        point = self.js('(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%s).getBoundingClientRect())' % json.dumps(selector))
        for kind in ('mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, x=point[0], y=point[1], button='left', clickCount=1)

    def key(self, name, code=0, modifiers=0):
        down = {'type': 'keyDown', 'text': '\r'} if name == 'Enter' else {'type': 'rawKeyDown'}
        for kind in (down, {'type': 'keyUp'}):
            self.call('Input.dispatchKeyEvent', key=name, windowsVirtualKeyCode=code, modifiers=modifiers, **kind)

    def type(self, text):
        self.call('Input.insertText', text=text)

    def problems(self):
        """What the page did that it must not: exceptions, refused by its policy."""
        return [event['params'] for event in self.browser.events[self.first_event:] if event.get('sessionId') == self.session and (
            event['method'] == 'Runtime.exceptionThrown' or
            event['method'] == 'Log.entryAdded' and event['params']['entry']['source'] in ('security', 'javascript', 'violation'))]

    def requests(self):
        return [event['params']['request'] for event in self.browser.events[self.first_event:]
                if event.get('sessionId') == self.session and event['method'] == 'Network.requestWillBeSent']

    def close(self):
        self.browser.call('Target.disposeBrowserContext', browserContextId=self.context)


def api(method, path, body=None):
    request = urllib.request.Request(URL + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={'X-Session-API-Key': KEY, 'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def execute(command):
    return api('POST', '/api/bash/execute_bash_command', {'command': command})


class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.dir = execute('mktemp -d /tmp/azm-test.XXXXXX')['stdout'].strip()

    @classmethod
    def tearDownClass(cls):
        execute('rm -rf ' + cls.dir)
        cls.browser.stop()

    def open(self, fragment='#' + urllib.parse.quote(KEY), phone=False):
        page = Page(self.browser, URL + '/' + fragment, phone)
        self.addCleanup(page.close)
        return page

    def open_terminal(self, **how):
        page = self.open(**how)
        page.wait("document.querySelector('#lines').textContent.trim()")
        page.type('PS1="pro""mpt> "')
        page.key('Enter', 13)
        page.wait_text('lines', 'prompt>')
        return page

    def show(self, page, tab):
        page.wait("document.querySelector('h1').textContent !== 'Sandbox'")
        page.click('#tab-' + tab)
        page.wait("!document.getElementById('%s').hidden" % tab)

    def tearDown(self):
        api('GET', '/alive')

    def test_the_key_leaves_the_address_and_is_sent_in_a_header_only(self):
        page = self.open_terminal()
        self.assertEqual(page.js('location.href'), URL + '/')
        for request in page.requests():
            if not request['url'].startswith(('blob:', 'data:')):
                self.assertTrue(request['url'].startswith(URL), request['url'])
                self.assertNotIn(KEY or 'no key', request['url'])
        self.assertEqual(page.problems(), [])

    def test_without_the_key_the_page_asks_for_it(self):
        page = self.open(fragment='')
        page.wait("!document.getElementById('ask').hidden && document.activeElement.id === 'key'")
        self.assertTrue(page.js("document.querySelector('main').hidden"))
        page.type('wrong')
        page.key('Enter', 13)
        page.wait("document.activeElement.id === 'key' && !document.activeElement.value")
        page.type(KEY)
        page.key('Enter', 13)
        page.wait("document.querySelector('#lines')?.textContent.trim()")

    def test_a_command_typed_into_the_terminal_shows_its_output(self):
        page = self.open_terminal()
        page.type('echo $((6*7)) $(tty); stty size')
        page.key('Enter', 13)
        page.wait_text('lines', '42 /dev/')
        rows, columns = page.js("[measure().rows, measure().columns]")
        page.wait_text('lines', '%d %d' % (rows, columns))
        self.assertEqual(page.problems(), [])

    def test_control_keys_and_arrows_do_what_they_do_in_a_terminal(self):
        page = self.open_terminal()
        page.type("sh -c 'echo st\"\"art; exec cat > /dev/null'")  # in one process, whose the terminal is when it says so
        page.key('Enter', 13)
        page.wait_text('lines', 'start')
        page.key('c', 67, modifiers=2)
        page.wait_prompt()
        page.type('echo ag""ain')
        page.key('Enter', 13)
        page.wait_text('lines', 'again')
        page.wait_prompt()
        page.key('ArrowUp', 38)
        page.key('Home', 36)
        page.type(': ')
        page.key('End', 35)
        page.type(' && ech""o third')
        page.key('Enter', 13)
        page.wait("document.querySelector('#lines').innerText.includes(': echo ag\"\"ain && ech\"\"o third')")

    def test_colours_attributes_and_wide_characters_are_drawn(self):
        page = self.open_terminal()
        page.type(r"printf '\033[31mred\033[0m \033[1;4mbold\033[0m \033[7mback\033[0m \033[38;2;1;2;3mrgb\033[0m 你x\n'")
        page.key('Enter', 13)
        find = "[...document.querySelectorAll('#lines span')].find(s => s.textContent === '%s')"
        page.wait(find % 'red')  # not the wide character: it is drawn where it is typed, too
        page.wait_prompt()
        self.assertEqual(page.js((find % 'red') + '.style.color'), 'rgb(204, 59, 51)')
        self.assertEqual(page.js((find % 'bold') + '.className'), 'bold')
        self.assertEqual(page.js((find % 'bold') + '.style.textDecoration'), 'underline')
        self.assertEqual(page.js((find % 'rgb') + '.style.color'), 'rgb(1, 2, 3)')
        self.assertEqual(page.js((find % 'back') + '.style.backgroundColor'), 'rgb(228, 228, 228)')
        self.assertEqual(page.js((find % '你') + '.className'), 'cell')

    def test_wide_characters_are_typed_however_slowly_their_bytes_arrive(self):
        page = self.open_terminal()
        for character in 'echo \u4f60\u597d=\u00e9':  # one at a time: bash reads what is typed ahead in another way
            page.type(character)
            page.wait_text('lines', character)
        page.key('Enter', 13)
        page.wait("[...document.querySelectorAll('#lines > div')].some(row => row.textContent.trim() === '\u4f60\u597d=\u00e9')")

    def test_rows_that_scroll_off_are_kept_and_a_flood_does_not_drown_the_page(self):
        page = self.open_terminal()
        page.type('seq 1 200000; echo en""d')
        page.key('Enter', 13)
        page.wait_text('lines', 'end', 30)
        page.wait_text('history', '199900')
        self.assertLessEqual(page.js("document.getElementById('history').childElementCount"), 2000)

    def test_output_is_text_whatever_it_contains(self):
        page = self.open_terminal()
        page.type("printf '%s\\n' \"" + EVIL.replace('"', '\\"') + '"')
        page.key('Enter', 13)
        page.wait("[...document.querySelectorAll('#lines > div')].some(row => row.textContent.startsWith('<img src'))")
        self.assertEqual(page.js("document.querySelectorAll('main img').length"), 0)
        self.assertNotEqual(page.js('document.title'), 'owned')
        self.assertEqual(page.problems(), [])

    def test_the_page_loaded_again_shows_the_same_terminal(self):
        page = self.open_terminal()
        page.type('mark=here; echo s""et')
        page.key('Enter', 13)
        page.wait_text('lines', 'set')
        page.js('window.before = 1')
        page.call('Page.reload')
        page.wait('!window.before')
        page.wait_text('lines', 'set')
        page.type('echo still-$mark')
        page.key('Enter', 13)
        page.wait_text('lines', 'still-here')

    def test_a_shell_that_ends_says_so_and_enter_starts_another(self):
        page = self.open_terminal()
        page.type('exit 3')
        page.key('Enter', 13)
        page.wait_text('lines', 'The shell ended with status 3')
        page.key('Enter', 13)
        page.wait("!document.querySelector('#lines').textContent.includes('ended') && document.querySelector('#lines').textContent.trim()")

    def test_files_are_listed_viewed_uploaded_and_downloaded(self):
        execute("cd %s && rm -rf * && mkdir sub && printf 'content\\n<b>not bold</b>' > view.txt && printf x > '%s'" % (
            self.dir, EVIL.replace('/', '')))
        page = self.open()
        page.wait("document.querySelector('h1').textContent !== 'Sandbox'")
        self.show(page, 'files')
        page.js("list(%s)" % json.dumps(self.dir))
        page.wait_text('entries', 'sub/')
        self.assertEqual(page.js("document.querySelectorAll('#entries img').length"), 0)
        page.js("[...document.querySelectorAll('#entries button')].find(b => b.textContent === 'view.txt').click()")
        page.wait_text('view', '<b>not bold</b>')
        self.assertEqual(page.js("document.querySelector('#view pre').textContent"), 'content\n<b>not bold</b>')
        local = os.path.join(self.browser.home, 'sent file.bin')
        with open(local, 'wb') as file:
            file.write(bytes(range(256)) * 5000)
        node = page.call('Runtime.evaluate', expression="document.getElementById('upload')")['result']['objectId']
        page.call('DOM.setFileInputFiles', files=[local], objectId=node)
        page.wait_text('entries', 'sent file.bin')
        self.assertIn('1280000', execute("wc -c < '%s/sent file.bin'" % self.dir)['stdout'])
        self.browser.call('Browser.setDownloadBehavior', behavior='allow', downloadPath=self.browser.home, browserContextId=page.context)
        os.rename(local, local + '.sent')
        page.js("document.querySelector('#entries [aria-label=\"Download sent file.bin\"]').click()")
        deadline = time.monotonic() + 15
        while not (os.path.exists(local) and os.path.getsize(local) == 1280000):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        with open(local, 'rb') as got, open(local + '.sent', 'rb') as sent:
            self.assertEqual(got.read(), sent.read())
        self.assertEqual(page.problems(), [])

    def test_an_image_is_shown(self):
        png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
        execute('echo %s | base64 -d > %s/dot.png' % (png, self.dir))
        self.assertTrue(base64.b64decode(png))
        page = self.open()
        self.show(page, 'files')
        page.js("list(%s)" % json.dumps(self.dir))
        page.wait_text('entries', 'dot.png')
        page.js("[...document.querySelectorAll('#entries button')].find(b => b.textContent === 'dot.png').click()")
        page.wait("document.querySelector('#view img')?.naturalWidth === 1")

    def test_processes_are_shown_with_what_they_use(self):
        started = api('POST', '/api/bash/start_bash_command', {'command': 'exec sleep 54321'})
        page = self.open()
        self.show(page, 'processes')
        page.wait_text('process-rows', 'sleep 54321')
        page.wait_text('process-rows', 'azm-runtime-server')
        api('POST', '/api/bash/bash_commands/%s/stop' % started['id'])
        page.wait("!document.getElementById('process-rows').textContent.includes('sleep 54321')")

    def test_resources_are_drawn_as_graphs_with_their_values_as_text(self):
        page = self.open()
        self.show(page, 'resources')
        page.wait("document.querySelectorAll('#charts figure').length === 4")
        page.wait("document.querySelector('#chart-disk polyline').getAttribute('points')?.split(' ').length >= 2")
        page.wait_text('facts', 'Up for')
        page.wait_text('chart-memory', 'iB')

    def test_the_activity_of_agents_is_followed_while_it_runs(self):
        page = self.open()
        self.show(page, 'activity')
        started = api('POST', '/api/bash/start_bash_command', {
            'command': "echo '%s'; until [ -e %s/go ]; do sleep 0.05; done; echo end" % (EVIL.replace("'", '"'), self.dir)})
        page.wait_text('actions', '<img src')
        self.assertFalse(page.js("document.getElementById('actions').textContent.includes('end\\n')"))
        execute('touch %s/go' % self.dir)
        page.wait_text('actions', '[0]')
        api('POST', '/execute_action', {'action': {'action': 'run', 'args': {'command': 'echo from-the-agent'}, 'timeout': 20}})
        page.wait_text('actions', 'from-the-agent')
        self.assertTrue(started['id'])
        self.assertEqual(page.js("document.querySelectorAll('main img').length"), 0)

    def test_a_phone_has_room_keys_to_touch_and_no_sideways_scrolling(self):
        page = self.open_terminal(phone=True)
        self.assertLessEqual(page.js('document.documentElement.scrollWidth'), 360)
        self.assertTrue(page.js("getComputedStyle(document.getElementById('pad')).display") != 'none')
        self.assertGreaterEqual(page.js("Math.min(...[...document.querySelectorAll('#pad button')].map(b => b.offsetHeight))"), 44)
        page.type("sh -c 'echo st\"\"art; exec cat'")
        page.click('#pad [data-key=Enter]')
        page.wait_text('lines', 'start')
        page.click('#ctrl')
        page.type('c')
        page.wait_prompt()
        page.type('echo ba""ck')
        page.click('#pad [data-key=Enter]')
        page.wait_text('lines', 'back')
        for tab in ('files', 'processes', 'resources', 'activity'):
            page.js("document.getElementById('tab-%s').click()" % tab)
            self.assertLessEqual(page.js('document.documentElement.scrollWidth'), 360, tab)

    def test_everything_that_can_be_used_has_a_name_for_assistive_technology(self):
        page = self.open_terminal()
        page.call('Accessibility.enable')
        roles = ('button', 'textbox', 'tab', 'link', 'image', 'table', 'tabpanel')
        for tab in ('terminal', 'files', 'processes', 'resources', 'activity'):
            page.js("document.getElementById('tab-%s').click()" % tab)
            nodes = page.call('Accessibility.getFullAXTree')['nodes']
            nameless = [node for node in nodes if not node.get('ignored') and node['role']['value'] in roles and
                        node['role']['value'] != 'table' and not node.get('name', {}).get('value')]
            self.assertEqual(nameless, [], tab)

    def test_tabs_are_walked_with_the_arrow_keys(self):
        page = self.open()
        page.wait("document.querySelector('h1').textContent !== 'Sandbox'")
        page.js("document.getElementById('tab-terminal').focus()")
        page.key('ArrowRight', 39)
        self.assertEqual(page.js('document.activeElement.id'), 'tab-files')
        self.assertFalse(page.js("document.getElementById('files').hidden"))
        page.key('ArrowLeft', 37)
        self.assertEqual(page.js('document.activeElement.id'), 'tab-terminal')


def main():
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromNames(['Console.' + name for name in sys.argv[1:]], sys.modules['__main__'])
        if sys.argv[1:] else unittest.defaultTestLoader.loadTestsFromTestCase(Console))
    failed = len(result.failures) + len(result.errors)
    print('%d passed, %d failed' % (result.testsRun - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
