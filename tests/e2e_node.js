// SPDX-License-Identifier: Apache-2.0
// e2e_node.js PORT LOG: an HTTP server that logs "port method code" for each answer that it gave.
'use strict';
const http = require('http');
const net = require('net');
const fs = require('fs');

const [port, path] = [Number(process.argv[2]), process.argv[3]];
const log = fs.openSync(path, 'a');
const note = (request, code) => fs.writeSync(log, `${port} ${request.method} ${code}\n`);

const server = http.createServer((request, response) => {
	response.on('finish', () => note(request, response.statusCode));
	switch (request.url.split('?')[0]) {
	case '/ok':
		response.setHeader('Content-Length', 3);
		response.end('ok\n');
		break;
	case '/chunked': { // three writes, three chunks, and a trailer
		const trailers = request.httpVersion === '1.1' && request.method !== 'HEAD';
		if (trailers)
			response.setHeader('Trailer', 'X-Sum');
		response.write('a'.repeat(100));
		setImmediate(() => {
			response.write('b'.repeat(70000));
			if (trailers)
				response.addTrailers({'X-Sum': '1'});
			response.end('c');
		});
		break;
	}
	case '/hints':
		response.writeEarlyHints({link: '</a.css>; rel=preload'});
		response.writeEarlyHints({link: '</b.css>; rel=preload'});
		response.end('ok\n');
		break;
	case '/body': {
		let bytes = 0;
		request.on('data', (data) => { bytes += data.length; });
		request.on('end', () => response.end(`${bytes}\n`));
		break;
	}
	case '/empty':
		response.writeHead(204).end();
		break;
	default:
		response.writeHead(404).end();
	}
});
server.keepAliveTimeout = 30000;

server.on('upgrade', (request, socket) => {
	socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
	note(request, 101);
	socket.on('data', (data) => socket.write(data)); // says back what it hears
	socket.on('end', () => socket.end());
	socket.on('error', () => {});
});

server.on('connect', (request, socket) => {
	const [host, to] = request.url.split(':');
	if (Number(to) !== port) {
		socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
		note(request, 403);
		return;
	}
	const peer = net.connect(port, host, () => {
		socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
		note(request, 200);
		peer.pipe(socket).pipe(peer);
	});
	peer.on('error', () => socket.destroy());
	socket.on('error', () => peer.destroy());
});

server.listen({port, host: '::', ipv6Only: false, backlog: 1024});
