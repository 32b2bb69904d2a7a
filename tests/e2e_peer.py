# SPDX-License-Identifier: Apache-2.0
"""A server and a client that follow one script and so know how each request ends, for the e2e_*.sh.
    e2e_peer.py serve PORT LOG       what to do is the request's path, see serve_*(). Each request's end is a line
                                     of LOG: "port method code", 599 = it gave no answer, 499 = the client left
    e2e_peer.py play PORT COUNT      every scene, COUNT times
    e2e_peer.py work PORT CONNS      GET /work on CONNS connections, again and again until the server ends them;
                                     then prints "sent N answered N"
"""
import os
import socket
import struct
import sys
import threading
import time

LINGER_RST = struct.pack('ii', 1, 0)


def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RST)
    conn.close()


class Reader:
    """Messages from a connection; None at its end."""

    def __init__(self, conn):
        self.conn, self.data = conn, b''

    def more(self):
        try:
            piece = self.conn.recv(65536)
        except ConnectionError:
            piece = b''
        self.data += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                return None
        head, self.data = self.data.split(mark, 1)
        return head

    def take(self, cnt):
        while len(self.data) < cnt:
            if not self.more():
                return None
        taken, self.data = self.data[:cnt], self.data[cnt:]
        return taken


# ---- the server --------------------------------------------------------------------------------

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n'
LONG = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'


def slowly(conn, data):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(len(data)):
        conn.sendall(data[i:i + 1])


def serve_switch(conn, reader):
    conn.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n')
    reader.take(1000)
    conn.sendall(OK * 20)  # none of it is HTTP now


def serve_hang(conn, reader):
    while reader.more():
        pass


# path: (code, what is sent, does the connection go on); a function does the rest
def plain(data):
    return lambda conn, reader: conn.sendall(data)


def then_reset(data):
    def act(conn, reader):
        if data:
            conn.sendall(data)
        reset(conn)
    return act


SCENES = {
    '/ok': (200, plain(OK), True),
    '/work': (200, lambda conn, reader: (time.sleep(0.002), conn.sendall(OK)), True),
    '/late': (200, lambda conn, reader: (time.sleep(0.05), conn.sendall(OK)), True),
    '/head': (200, plain(LONG), True),  # to HEAD
    '/teapot': (418, plain(b'HTTP/1.1 418 I am\r\nContent-Length: 0\r\n\r\n'), True),
    '/real499': (499, plain(b'HTTP/1.1 499 Real\r\nContent-Length: 0\r\n\r\n'), True),
    '/real599': (599, plain(b'HTTP/1.1 599 Real\r\nContent-Length: 0\r\n\r\n'), True),
    '/early': (200, plain(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
                          b'HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n' + OK), True),
    '/trailers': (203, lambda conn, reader: slowly(
        conn, b'HTTP/1.1 203 So\r\ntransfer-encoding: gzip, Chunked\r\n\r\n'
              b'5;name="v"\r\nhello\r\n0a\r\nHTTP/1.1 5\r\n000\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n'), True),
    '/none': (599, plain(b''), False),
    '/rst': (599, then_reset(b''), False),
    '/interim': (599, plain(b'HTTP/1.1 102 Processing\r\n\r\n'), False),
    '/cut': (200, plain(LONG + b'x' * 500), False),
    '/cutrst': (200, then_reset(LONG + b'x' * 500), False),
    '/cutchunk': (200, plain(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\nabc'), False),
    '/eof': (200, plain(b'HTTP/1.0 200 OK\r\n\r\n' + b'y' * 5000), False),
    '/eofrst': (200, then_reset(b'HTTP/1.0 200 OK\r\n\r\n' + b'y' * 5000), False),
    '/bye': (503, plain(b'HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno'), False),
    '/switch': (101, serve_switch, False),
    '/hang': (499, serve_hang, False),
}
TRUNCATED = ('/cut', '/cutrst', '/cutchunk', '/eofrst')


def serve_conn(conn, port, log):
    reader = Reader(conn)
    while True:
        head = reader.until(b'\r\n\r\n')
        if head is None:
            break
        lines = head.decode().split('\r\n')
        method, path = lines[0].split(' ')[:2]
        for line in lines[1:]:
            name, value = line.split(':', 1)
            if name.lower() == 'content-length' and reader.take(int(value)) is None:
                os.write(log, b'%d %s 499\n' % (port, method.encode()))
                return conn.close()
        code, act, goes_on = SCENES[path]
        try:
            act(conn, reader)
        except ConnectionError:
            pass
        os.write(log, b'%d %s %d\n' % (port, method.encode(), code))
        if not goes_on:
            break
    conn.close()


def serve(port, log):
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    listener = socket.create_server(('127.0.0.1', port), backlog=1024)
    while True:
        conn = listener.accept()[0]
        threading.Thread(target=serve_conn, args=(conn, port, log), daemon=True).start()


# ---- the client --------------------------------------------------------------------------------

def request(path, method='GET', body=b''):
    length = b'Content-Length: %d\r\n' % len(body) if body else b''
    return b'%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n' % (method.encode(), path.encode(), length) + body


def connect(port):
    return socket.create_connection(('127.0.0.1', port))


def read_all(conn):
    while Reader(conn).more():
        pass
    conn.close()


def play(port, count):
    for _ in range(int(count)):
        conn = connect(port)  # one connection for all that keep it
        reader = Reader(conn)
        for path in ('/ok', '/teapot', '/real499', '/real599', '/early'):
            conn.sendall(request(path))
            reader.until(b'\r\n\r\nok\n' if path in ('/ok', '/early') else b'\r\n\r\n')
        conn.sendall(request('/head', 'HEAD'))
        reader.until(b'\r\n\r\n')
        slowly(conn, request('/ok', 'POST', b'GET /ok HTTP/1.1\r\n\r\n'))
        reader.until(b'\r\n\r\nok\n')
        conn.sendall(request('/trailers'))
        reader.until(b'X-More: 2\r\n\r\n')
        conn.sendall(request('/ok', 'PROPFIND') + request('/ok', 'PUT', b'z' * 70000) + request('/late'))
        for _ in range(3):
            reader.until(b'\r\n\r\nok\n')
        conn.close()
        for path in SCENES:
            if SCENES[path][2] or path in ('/switch', '/hang'):
                continue
            conn = connect(port)
            conn.sendall(request(path))
            read_all(conn)
        conn = connect(port)  # half-closed, and answered
        conn.sendall(request('/late'))
        conn.shutdown(socket.SHUT_WR)
        read_all(conn)
        conn = connect(port)
        conn.sendall(request('/switch'))
        Reader(conn).until(b'\r\n\r\n')
        conn.sendall(request('/ok')[:10] * 100)
        read_all(conn)
        for leave in (reset, socket.socket.close):
            conn = connect(port)
            conn.sendall(request('/hang'))
            time.sleep(0.01)
            leave(conn)
        conn = connect(port)  # gone in the middle of its body
        conn.sendall(request('/ok', 'POST', b'q' * 1000)[:-500])
        time.sleep(0.01)
        conn.close()


def work(port, conns):
    sent, answered = [0] * int(conns), [0] * int(conns)

    def run(i):
        try:
            conn = connect(port)
            reader = Reader(conn)
            while True:
                conn.sendall(request('/work'))
                sent[i] += 1
                if reader.until(b'\r\n\r\nok\n') is None:
                    break
                answered[i] += 1
        except ConnectionError:
            pass

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(sent))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print('sent', sum(sent), 'answered', sum(answered))


if __name__ == '__main__':
    if sys.argv[1] != 'serve':
        socket.setdefaulttimeout(20)
    {'serve': serve, 'play': play, 'work': work}[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
