# SPDX-License-Identifier: Apache-2.0
"""Clients that know what they sent, for the e2e_*.sh. Each prints "sent N".
    e2e_load.py reset PORT SECONDS      GET /big, leave with a RST in the middle of the answer, again
    e2e_load.py hold PORT COUNT HELD    open COUNT connections, send one GET on each, touch the file HELD and
                                        wait for a line on stdin, then read the answers; each must be a 200
    e2e_load.py again PORT COUNT TIMES HELD as hold, but one answered before HELD, and TIMES afterwards, on each
    e2e_load.py single PORT SECONDS     a server: one connection at a time, SECONDS for each answer, HTTP/1.0
    e2e_load.py pipeline PORT COUNT DEPTH   COUNT requests on one connection, DEPTH outstanding
"""
import os
import resource
import selectors
import socket
import struct
import sys
import threading
import time

GET = b'GET /%s HTTP/1.1\r\nHost: x\r\n\r\n'


def reset(port, seconds):
    end = time.time() + float(seconds)
    sent = [0] * 4

    def run(i):
        while time.time() < end:
            conn = socket.create_connection(('127.0.0.1', port))
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            conn.sendall(GET % b'big')
            conn.recv(1000)
            conn.close()
            sent[i] += 1

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(sent))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sent)


def hold(port, count, held):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    conns = []
    for i in range(int(count)):
        conn = socket.socket()
        conn.connect(('127.0.0.1', port))
        conn.sendall(b'GET /ok HTTP/1.1\r\n')
        conns.append(conn)
    open(held, 'w').close()
    sys.stdin.readline()
    for conn in conns:
        conn.sendall(b'Host: x\r\n\r\n')
    for conn in conns:
        data = b''
        while b'\r\n\r\nok\n' not in data:
            piece = conn.recv(4096)
            if not piece:
                sys.exit('a connection ended early')
            data += piece
        if not data.startswith(b'HTTP/1.1 200'):
            sys.exit('not a 200')
    for conn in conns:
        conn.close()
    return len(conns)


def again(port, count, times, held):
    conns = [socket.create_connection(('127.0.0.1', port)) for _ in range(int(count))]
    sent = 0

    def ask():
        for conn in conns:
            conn.sendall(GET % b'ok')
            data = b''
            while not data.endswith(b'\r\n\r\nok\n'):
                data += conn.recv(4096)
        return len(conns)

    sent += ask()
    open(held, 'w').close()
    sys.stdin.readline()
    for _ in range(int(times)):
        sent += ask()
    return sent


def single(port, seconds):
    listener = socket.create_server(('127.0.0.1', port), backlog=128)
    while True:
        conn = listener.accept()[0]
        data = b''
        while b'\r\n\r\n' not in data:
            data += conn.recv(4096)
        time.sleep(float(seconds))
        conn.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n')
        conn.close()


def pipeline(port, count, depth):
    conn = socket.create_connection(('127.0.0.1', port))
    count, depth, answered = int(count), int(depth), 0
    conn.sendall(GET % b'ok' * depth)
    sent, tail = depth, b''
    while answered < count:
        data = tail + conn.recv(65536)
        got = data.count(b'\r\n\r\nok\n')
        tail = data[-6:] if not data.endswith(b'\r\n\r\nok\n') else b''
        answered += got
        more = min(got, count - sent)
        if more:
            conn.sendall(GET % b'ok' * more)
            sent += more
    conn.close()
    return sent


if __name__ == '__main__':
    verb = {'reset': reset, 'hold': hold, 'again': again, 'single': single, 'pipeline': pipeline}[sys.argv[1]]
    print('sent', verb(int(sys.argv[2]), *sys.argv[3:]))
