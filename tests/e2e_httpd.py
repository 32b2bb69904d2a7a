# SPDX-License-Identifier: Apache-2.0
"""e2e_httpd.py PORT LOG [1.1]: Python's own http.server, HTTP/1.0 (or 1.1) with a log: "port method code"."""
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, log = int(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/' + (sys.argv[3] if len(sys.argv) > 3 else '1.0')

    def log_request(self, code='-', size='-'):
        if int(code) >= 200:
            os.write(log, b'%d %s %d\n' % (port, self.command.encode(), int(code)))

    def do_GET(self):
        path = self.path.split('?')[0]
        if path == '/close':  # ends with the connection
            self.send_response(200)
            self.send_header('Connection', 'close')
            self.end_headers()
            self.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n' * 5000)
        elif path == '/ok':
            self.send_response(200)
            self.send_header('Content-Length', '3')
            self.end_headers()
            if self.command != 'HEAD':
                self.wfile.write(b'ok\n')
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(201)
        self.send_header('Content-Length', '0')
        self.end_headers()


class Server(ThreadingHTTPServer):
    request_queue_size = 1024


Server(('127.0.0.1', port), Handler).serve_forever()
