// SPDX-License-Identifier: GPL-2.0-or-later
// The console page of azm-runtime-server. What comes from the sandbox becomes text nodes and nothing else: names, output and
// commands are written by whoever runs inside. The key goes into a header, never into an address.
'use strict';

const $ = id => document.getElementById(id);
const sleep = ms => new Promise(done => setTimeout(done, ms));

function make(tag, properties, ...children) {
	const element = document.createElement(tag);
	Object.assign(element, properties);
	element.append(...children);
	return element;
}

function notice(text) {
	$('notice').textContent = text;
}

// ---- the server ----

let key = '';

function takeKey() {
	const given = location.hash.slice(1);
	if (given) {
		sessionStorage.setItem('key', decodeURIComponent(given));
		history.replaceState(null, '', location.pathname);
	}
	key = sessionStorage.getItem('key') || '';
}

function askForKey() {
	$('ask').hidden = false;
	document.querySelector('main').hidden = true;
	$('key').focus();
}

class Refused extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

async function request(path, options = {}) {
	const headers = {...options.headers};
	if (key)
		headers['X-Session-API-Key'] = key;
	const response = await fetch(path, {...options, headers, credentials: 'omit', redirect: 'error'});
	if (response.ok)
		return response;
	let detail = response.statusText;
	try {
		detail = String((await response.json()).detail);
	} catch {
		// not JSON: the status has to do
	}
	if (response.status === 401)
		askForKey();
	throw new Refused(response.status, detail);
}

const get = async (path, query) => (await request(path + (query ? '?' + new URLSearchParams(query) : ''))).json();
const post = async (path, body) => (await request(path, {method: 'POST', body: JSON.stringify(body)})).json();

// Server-sent events; EventSource could not send the key.
async function follow(path, handlers) {
	const response = await request(path);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '';
	for (;;) {
		const {done, value} = await reader.read();
		if (done)
			return;
		rest += value;
		for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2)) {
			const event = /^event: (.*)\ndata: (.*)$/s.exec(rest.slice(0, end));
			if (event && handlers[event[1]])
				handlers[event[1]](JSON.parse(event[2]));
		}
	}
}

// ---- tabs ----

const tabs = [...document.querySelectorAll('[role=tab]')];
const whenShown = {};

function show(tab) {
	for (const other of tabs) {
		const selected = other === tab;
		other.setAttribute('aria-selected', selected);
		other.tabIndex = selected ? 0 : -1;
		$(other.getAttribute('aria-controls')).hidden = !selected;
	}
	notice('');
	whenShown[tab.getAttribute('aria-controls')]?.();
}

for (const tab of tabs) {
	tab.addEventListener('click', () => {
		show(tab);
		if (tab.id === 'tab-terminal')
			$('keys').focus({preventScroll: true});
	});
	tab.addEventListener('keydown', event => {
		const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
		if (!step)
			return;
		const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
		next.focus();
		show(next);
	});
}

const isShown = id => !$(id).hidden && !document.hidden;
