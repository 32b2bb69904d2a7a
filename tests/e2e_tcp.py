# SPDX-License-Identifier: Apache-2.0
"""Traffic below HTTP, for the e2e_*.sh.
    e2e_tcp.py serve PORT GREETING      greet ("" = say nothing), then answer +PONG to each segment
    e2e_tcp.py talk PORT COUNT TEXT     COUNT connections: send TEXT (escapes read), read something, close
    e2e_tcp.py connect PORT COUNT [MS]  COUNT attempts to connect, each given up after MS; prints what came of them
    e2e_tcp.py silent PORT PATH DROP    GET PATH with an answer, then run DROP and send one more that nobody hears
"""
import collections
import socket
import subprocess
import sys
import threading


def escaped(text):
    return text.encode().decode('unicode_escape').encode('latin-1')


def serve(port, greeting):
    def run(conn):
        try:
            conn.sendall(escaped(greeting))
            while conn.recv(4096):
                conn.sendall(b'+PONG\r\n')
        except ConnectionError:
            pass
        conn.close()

    listener = socket.create_server(('127.0.0.1', port), backlog=128)
    while True:
        threading.Thread(target=run, args=(listener.accept()[0],), daemon=True).start()


def talk(port, count, text):
    for _ in range(int(count)):
        conn = socket.create_connection(('127.0.0.1', port), 5)
        conn.sendall(escaped(text))
        conn.recv(4096)
        conn.close()


def connect(port, count, ms=2000):
    ends = collections.Counter()
    for _ in range(int(count)):
        try:
            socket.create_connection(('127.0.0.1', port), int(ms) / 1000).close()
            ends['established'] += 1
        except OSError as err:
            ends[type(err).__name__] += 1
    print(*(f'{name} {cnt}' for name, cnt in sorted(ends.items())))


def silent(port, path, drop):
    conn = socket.create_connection(('127.0.0.1', port), 5)
    request = b'GET %s HTTP/1.1\r\nHost: x\r\n\r\n' % path.encode()
    conn.sendall(request)
    conn.recv(4096)
    subprocess.run(drop, shell=True, check=True)
    conn.settimeout(10)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 700)
    conn.sendall(request)
    try:
        print('got', len(conn.recv(4096)))
    except OSError as err:
        print(type(err).__name__)


if __name__ == '__main__':
    verb = {'serve': serve, 'talk': talk, 'connect': connect, 'silent': silent}[sys.argv[1]]
    verb(int(sys.argv[2]), *sys.argv[3:])
