# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of other origins in the user's browser get nothing, whether there is a key or not."""
import http.client
import unittest

from client import Client, Remote, Server, URL


class WithKey(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Remote() if URL else Server()
        cls.client = Client(cls.server)
        cls.here = '%s:%d' % (cls.server.host, cls.server.port)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_no_answer_allows_another_origin_to_read_it(self):
        for method, path in (('GET', '/alive'), ('GET', '/'), ('OPTIONS', '/execute_action'), ('GET', '/api/bash/bash_events/search')):
            connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=10)
            connection.request(method, path, headers={'Origin': 'http://evil.example', 'Access-Control-Request-Method': 'POST'})
            response = connection.getresponse()
            self.assertNotIn('access-control-allow-origin', {name.lower() for name, _ in response.getheaders()})
            self.assertGreaterEqual(response.status, 400)
            connection.close()

    def test_an_origin_that_is_the_server_itself_may_use_what_needs_no_key(self):
        for origin in ('http://' + self.here, 'https://' + self.here):
            self.assertEqual(self.client.request('GET', '/alive', headers={'Origin': origin})[0], 200)

    def test_with_the_key_the_origin_and_the_host_do_not_matter(self):
        if not self.server.key:
            self.skipTest('this server has no key')
        headers = {'Origin': 'https://app.example', 'Host': 'box.example'}
        self.assertEqual(self.client.request('POST', '/list_files', '{}', headers)[0], 200)

    def test_answers_are_not_stored_and_their_type_is_not_guessed(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=10)
        connection.request('GET', '/alive')
        headers = connection.getresponse().headers
        self.assertEqual((headers['Cache-Control'], headers['X-Content-Type-Options']), ('no-store', 'nosniff'))
        connection.close()


@unittest.skipIf(URL, 'needs a server of its own')
class WithoutKey(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(key=None)
        cls.client = Client(cls.server)
        cls.here = '%s:%d' % (cls.server.host, cls.server.port)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def status(self, **headers):
        return self.client.request('POST', '/list_files', '{}', headers)[0]

    def test_a_program_is_answered(self):
        self.assertEqual(self.status(), 200)

    def test_a_page_of_another_origin_is_403(self):
        for origin in ('http://evil.example', 'null', 'http://127.0.0.1:1', 'http://localhost:%d' % self.server.port):
            self.assertEqual(self.status(Origin=origin), 403, origin)
        self.assertEqual(self.status(Origin='http://' + self.here), 200)

    def test_a_name_that_public_dns_could_have_led_here_is_403(self):
        """DNS rebinding: for the browser the page and the server are the same origin then."""
        for host in ('evil.example', 'evil.example:%d' % self.server.port, '127.0.0.1.evil.example'):
            self.assertEqual(self.status(Host=host, Origin='http://' + host), 403, host)
        for host in ('localhost', 'sandbox:80', 'host.docker.internal', '[::1]:80'):
            self.assertEqual(self.status(Host=host), 200, host)
