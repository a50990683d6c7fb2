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

// ---- terminal ----

const HISTORY_MAX = 2000;
const BOLD = 1, ITALIC = 2, UNDERLINED = 4, REVERSED = 8, STRUCK = 16, WIDE = 32;
const BASIC = ['#1d1d1d', '#cc3b33', '#3fa13f', '#b58a1c', '#4a7fd6', '#a653b8', '#2f9fa6', '#c8c8c8',
	'#767676', '#ff6b60', '#6fdc6f', '#f2cf56', '#82aeff', '#e08af0', '#6fe0e6', '#ffffff'];
const terminal = {id: 0, rows: 0, columns: 0, keys: [], sending: false, ended: false, ctrl: false};

function colour(value, otherwise) {
	if (value === null || value === undefined)
		return otherwise;
	if (typeof value === 'string')
		return value;
	if (value < 16)
		return BASIC[value];
	if (value >= 232)
		return `rgb(${Array(3).fill((value - 232) * 10 + 8)})`;
	return `rgb(${[36, 6, 1].map(unit => Math.floor((value - 16) / unit) % 6).map(part => part ? part * 40 + 55 : 0)})`;
}

function drawRun([text, foreground, background, attributes = 0]) {
	if (foreground === undefined && background === undefined)
		return document.createTextNode(text);
	const span = make('span', {textContent: text});
	const front = colour(foreground, attributes & REVERSED ? '#e4e4e4' : ''), back = colour(background, attributes & REVERSED ? '#101010' : '');
	span.style.color = attributes & REVERSED ? back : front;
	span.style.backgroundColor = attributes & REVERSED ? front : back;
	span.style.textDecoration = [attributes & UNDERLINED && 'underline', attributes & STRUCK && 'line-through'].filter(Boolean).join(' ');
	span.classList.toggle('bold', Boolean(attributes & BOLD));
	span.classList.toggle('italic', Boolean(attributes & ITALIC));
	span.classList.toggle('cell', Boolean(attributes & WIDE));
	return span;
}

const cursor = make('div', {className: 'cursor'});
cursor.ariaHidden = 'true';

function drawFrame(frame) {
	const screen = $('screen'), lines = $('lines');
	const atEnd = screen.scrollTop + screen.clientHeight >= screen.scrollHeight - 4;
	for (const runs of frame.scrolled)
		$('history').append(make('div', {}, ...runs.map(drawRun)));
	while ($('history').childElementCount > HISTORY_MAX)
		$('history').firstChild.remove();
	cursor.remove();
	while (lines.childElementCount > frame.rows)
		lines.lastChild.remove();
	while (lines.childElementCount < frame.rows)
		lines.append(make('div'));
	for (const [row, runs] of Object.entries(frame.lines))
		lines.children[row].replaceChildren(...runs.map(drawRun));
	const [row, column, visible] = frame.cursor;
	cursor.hidden = !visible;
	cursor.style.left = `${column}ch`;
	cursor.style.top = `${row * 1.25}em`;
	cursor.style.height = '1.25em';
	lines.append(cursor);
	if (atEnd)
		screen.scrollTop = screen.scrollHeight;
}

function measure() {
	const probe = make('span', {textContent: '0'.repeat(50)});
	$('lines').append(probe);
	const cell = probe.getBoundingClientRect().width / 50;
	const line = parseFloat(getComputedStyle($('screen')).fontSize) * 1.25;
	probe.remove();
	const fit = (room, unit, least, most) => Math.max(least, Math.min(most, Math.floor(room / unit) || 0));
	return {rows: fit($('screen').clientHeight - 8, line, 5, 200), columns: fit($('screen').clientWidth - 12, cell, 20, 400)};
}

async function openTerminal() {
	const size = measure();
	const known = Number(sessionStorage.getItem('terminal'));
	if (known) {
		try {
			await post(`/api/console/terminals/${known}/size`, size);
			return known;
		} catch (error) {
			if (error.status !== 404)
				throw error;
		}
	}
	const {id} = await post('/api/console/terminals', size);
	sessionStorage.setItem('terminal', id);
	return id;
}

function sayAtEnd(text) {
	$('lines').append(make('div', {textContent: text, className: 'italic'}));
	$('screen').scrollTop = $('screen').scrollHeight;
}

async function runTerminal() {
	for (let pause = 250; ; pause = Math.min(pause * 2, 8000)) {
		try {
			terminal.id = await openTerminal();
			terminal.ended = false;
			notice('');
			await follow(`/api/console/terminals/${terminal.id}/screen`, {
				screen: frame => {
					pause = 250;
					drawFrame(frame);
				},
				exit: ({code}) => {
					terminal.ended = true;
					sessionStorage.removeItem('terminal');
					sayAtEnd(`The shell ended with status ${code}. Enter starts another one.`);
				},
				taken: () => {
					terminal.ended = true;
					sessionStorage.removeItem('terminal');
					sayAtEnd('Another page shows this terminal now. Enter starts another one.');
				},
			});
			if (terminal.ended)
				return;
		} catch (error) {
			if (error.status === 401)
				return;
			notice(`Terminal: ${error.message}`);
		}
		await sleep(pause);
	}
}

// One request at a time, so that keys arrive in their order; what is pressed meanwhile goes with the next one.
async function press(item) {
	if (terminal.ended) {
		if (item.key === 'Enter') {
			terminal.ended = false;
			$('lines').replaceChildren();
			$('history').replaceChildren();
			runTerminal();
		}
		return;
	}
	terminal.keys.push(terminal.ctrl ? {...item, ctrl: true} : item);
	setCtrl(false);
	if (terminal.sending)
		return;
	terminal.sending = true;
	try {
		while (terminal.keys.length)
			await post(`/api/console/terminals/${terminal.id}/keys`, terminal.keys.splice(0));
	} catch (error) {
		terminal.keys.length = 0;
		notice(`Terminal: ${error.message}`);
	}
	terminal.sending = false;
}

function setCtrl(on) {
	terminal.ctrl = on;
	$('ctrl').setAttribute('aria-pressed', on);
}

const NAMED = /^(Enter|Tab|Backspace|Escape|Arrow(Up|Down|Left|Right)|Insert|Delete|Home|End|Page(Up|Down)|F([1-9]|1[0-2]))$/;

$('keys').addEventListener('keydown', event => {
	const {ctrlKey: ctrl, altKey: alt, shiftKey: shift, metaKey: meta, key: name} = event;
	if (event.isComposing || meta || (name === 'Tab' && shift) || (ctrl && shift) || (ctrl && name.toLowerCase() === 'v'))
		return;
	if (ctrl && name.toLowerCase() === 'c' && !getSelection().isCollapsed)
		return; // copy
	const item = NAMED.test(name) ? {key: name} : [...name].length === 1 && (ctrl || alt) && !event.getModifierState('AltGraph') ? {text: name} : null;
	if (!item)
		return;
	event.preventDefault();
	press({...item, ctrl, alt, shift});
});

$('keys').addEventListener('beforeinput', event => {
	const name = {deleteContentBackward: 'Backspace', insertLineBreak: 'Enter', insertParagraph: 'Enter'}[event.inputType];
	if (!name)
		return;
	event.preventDefault();
	press({key: name});
});

$('keys').addEventListener('input', event => {
	if (event.isComposing || !$('keys').value)
		return;
	press({text: $('keys').value});
	$('keys').value = '';
});

$('keys').addEventListener('compositionend', () => {
	if ($('keys').value)
		press({text: $('keys').value});
	$('keys').value = '';
});

$('keys').addEventListener('paste', event => {
	event.preventDefault();
	press({paste: event.clipboardData.getData('text').replace(/\r\n/g, '\n')});
});

$('screen').addEventListener('click', () => {
	if (getSelection().isCollapsed)
		$('keys').focus({preventScroll: true});
});

$('ctrl').addEventListener('click', () => {
	setCtrl(!terminal.ctrl);
	$('keys').focus({preventScroll: true});
});

for (const button of document.querySelectorAll('[data-key]'))
	button.addEventListener('click', () => {
		press({key: button.dataset.key});
		$('keys').focus({preventScroll: true});
	});

let resizing;
new ResizeObserver(() => {
	clearTimeout(resizing);
	resizing = setTimeout(async () => {
		const size = measure();
		if (!terminal.id || terminal.ended || $('terminal').hidden || (size.rows === terminal.rows && size.columns === terminal.columns))
			return;
		Object.assign(terminal, size);
		post(`/api/console/terminals/${terminal.id}/size`, size).catch(error => notice(`Terminal: ${error.message}`));
	}, 150);
}).observe($('screen'));

// ---- files ----

const VIEW_MAX = 256 << 10;
const IMAGES = {png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp'};
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function bytes(count) {
	const power = count > 0 ? Math.min(Math.floor(Math.log2(count) / 10), UNITS.length - 1) : 0;
	return `${(count / 1024 ** power).toFixed(power && count / 1024 ** power < 100 ? 1 : 0)} ${UNITS[power]}`;
}

const join = (directory, name) => (directory.endsWith('/') ? directory : directory + '/') + name;
const above = path => path.replace(/\/+$/, '').replace(/\/[^/]*$/, '') || '/';

async function attempt(what, work) {
	notice('');
	try {
		await work();
	} catch (error) {
		notice(`${what}: ${error.message}`);
	}
}

function entryRow(directory, entry) {
	const path = join(directory, entry.name), isDirectory = entry.type === 'directory';
	const name = make('button', {type: 'button', textContent: entry.name + (isDirectory ? '/' : '')});
	name.addEventListener('click', () => isDirectory ? list(path) : view(path, entry));
	const download = make('button', {type: 'button', textContent: '⭳', ariaLabel: `Download ${entry.name}`});
	download.addEventListener('click', () => attempt('Download', () => save(path, entry.name)));
	return make('tr', {}, make('td', {}, name), make('td', {}, ...(isDirectory || entry.type === 'other' ? [] : [download])),
		make('td', {className: 'number', textContent: isDirectory ? '' : bytes(entry.size)}),
		make('td', {textContent: new Date(entry.modified * 1000).toLocaleString()}), make('td', {textContent: entry.mode}));
}

// Answers may overtake each other: what was asked for last is what is shown.
let listings = 0;

async function list(path) {
	await attempt('Files', async () => {
		const mine = ++listings;
		const listing = await get('/api/console/files', {path});
		if (mine !== listings)
			return;
		$('path').value = listing.path;
		$('view').hidden = true;
		$('entries').replaceChildren(...listing.entries.map(entry => entryRow(listing.path, entry)));
		if (listing.truncated)
			notice('There are more files than can be shown.');
	});
}

const download = path => request('/api/file/download?' + new URLSearchParams({path}));

async function save(path, name) {
	const address = URL.createObjectURL(await (await download(path)).blob());
	const link = make('a', {href: address, download: name});
	link.click();
	setTimeout(() => URL.revokeObjectURL(address), 60000);
}

// The beginning of a file, and no more of it than is shown.
async function beginning(path) {
	const reader = (await download(path)).body.getReader();
	const parts = [];
	for (let size = 0; size < VIEW_MAX;) {
		const {done, value} = await reader.read();
		if (done)
			break;
		parts.push(value);
		size += value.length;
	}
	reader.cancel();
	return new Uint8Array(await new Blob(parts).slice(0, VIEW_MAX).arrayBuffer());
}

function view(path, entry) {
	return attempt('View', async () => {
		const type = IMAGES[entry.name.split('.').pop().toLowerCase()];
		const title = make('h2', {textContent: path});
		if (type && entry.size < 64 * VIEW_MAX) {
			const address = URL.createObjectURL(new Blob([await (await download(path)).blob()], {type}));
			const image = make('img', {src: address, alt: `Image ${entry.name}`});
			image.addEventListener('load', () => URL.revokeObjectURL(address));
			$('view').replaceChildren(title, image);
		} else {
			const data = await beginning(path);
			const text = data.includes(0) ? 'This file is not text. It can be downloaded.' : new TextDecoder().decode(data);
			$('view').replaceChildren(title, make('pre', {textContent: text}));
			if (entry.size > data.length)
				$('view').append(make('p', {textContent: `The first ${bytes(data.length)} of ${bytes(entry.size)}.`}));
		}
		$('view').hidden = false;
		$('view').focus();
	});
}

async function uploadFiles(files) {
	const directory = $('path').value;
	await attempt('Upload', async () => {
		for (const file of files) {
			const body = new FormData();
			body.append('file', file);
			notice(`Uploading ${file.name}`);
			await request('/api/file/upload?' + new URLSearchParams({path: join(directory, file.name)}), {method: 'POST', body});
		}
		await list(directory);
	});
}

$('go').addEventListener('submit', event => {
	event.preventDefault();
	list($('path').value);
});
$('up').addEventListener('click', () => list(above($('path').value)));
$('upload').addEventListener('change', async () => {
	await uploadFiles([...$('upload').files]);
	$('upload').value = '';
});
$('files').addEventListener('dragover', event => event.preventDefault());
$('files').addEventListener('drop', event => {
	event.preventDefault();
	uploadFiles([...event.dataTransfer.files]);
});
whenShown.files = () => list($('path').value);

// ---- processes and resources ----

const SAMPLES = 120, EVERY_MS = 2000;
const charts = {};
let before = null;

function chart(name, label) {
	const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
	const curve = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
	const value = make('output', {});
	svg.setAttribute('viewBox', `0 0 ${SAMPLES - 1} 100`);
	svg.setAttribute('preserveAspectRatio', 'none');
	svg.setAttribute('aria-hidden', 'true');
	svg.append(curve);
	$('charts').append(make('figure', {id: `chart-${name}`}, make('figcaption', {}, make('span', {textContent: label}), value), svg));
	charts[name] = {curve, value, samples: []};
}

chart('cpu', 'Processors');
chart('memory', 'Memory of all processes');
chart('disk', 'Disk of /');
chart('server', 'Memory of the server');

function plot(name, share, text) {
	const {curve, value, samples} = charts[name];
	samples.push(Math.max(0, Math.min(100, share)));
	samples.splice(0, samples.length - SAMPLES);
	curve.setAttribute('points', samples.map((sample, i) => `${SAMPLES - samples.length + i},${100 - sample}`).join(' '));
	value.textContent = text;
}

// CPU time since the look before, in percent of one processor; by pid.
function usage(now) {
	const used = new Map(now.processes.map(process => [process.pid, process.cpu]));
	const elapsed = before ? now.now - before.at : 0;
	const share = new Map([...used].map(([pid, cpu]) => [pid, elapsed ? 100 * Math.max(0, cpu - (before.used.get(pid) ?? cpu)) / elapsed : 0]));
	before = {at: now.now, used};
	return share;
}

function processRow(process, share) {
	return make('tr', {}, make('td', {className: 'number', textContent: process.pid}), make('td', {textContent: process.uid}),
		make('td', {className: 'number', textContent: `${share.toFixed(1)} %`}), make('td', {className: 'number', textContent: bytes(process.memory)}),
		make('td', {textContent: process.state}), make('td', {className: 'command', textContent: process.command, title: process.command}));
}

async function sample() {
	const [now, info] = await Promise.all([get('/api/console/processes'), get('/server_info')]);
	const share = usage(now);
	const order = [...now.processes].sort((a, b) => share.get(b.pid) - share.get(a.pid) || b.memory - a.memory);
	$('process-rows').replaceChildren(...order.map(process => processRow(process, share.get(process.pid))));
	const total = [...share.values()].reduce((sum, one) => sum + one, 0);
	const memory = now.processes.reduce((sum, process) => sum + process.memory, 0);
	const {disk, memory: own, io} = info.resources;
	plot('cpu', total / now.processors, `${total.toFixed(0)} % of ${now.processors} × 100 %`);
	plot('memory', 100 * memory / now.memory_total, bytes(memory));
	plot('disk', disk.percent, `${bytes(disk.used)} of ${bytes(disk.total)}`);
	plot('server', 100 * own.rss / (8 << 20), bytes(own.rss));
	const facts = {'Up for': `${Math.round(info.uptime)} s`, 'Idle for': `${Math.round(info.idle_time)} s`, 'Processes': now.processes.length,
		'Read by the server': bytes(io.read_bytes), 'Written by the server': bytes(io.write_bytes), 'Server': `${info.title} ${info.version}`};
	$('facts').replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
		[make('dt', {textContent: name}), make('dd', {textContent: value})]));
}

let sampling = false;
async function sampleWhileShown() {
	if (sampling)
		return;
	for (sampling = true; isShown('processes') || isShown('resources'); await sleep(EVERY_MS))
		await attempt('Processes', sample);
	sampling = false;
}
whenShown.processes = whenShown.resources = sampleWhileShown;
document.addEventListener('visibilitychange', sampleWhileShown);

// ---- activity ----

const ACTIONS_MAX = 100;
const actions = new Map();

function describe(action) {
	const {command, code, path} = action.args || {};
	return `${action.action} ${command ?? code ?? path ?? ''}`;
}

function addAction(id, title) {
	const output = make('pre', {hidden: true}), state = make('span', {textContent: ' …'});
	const article = make('article', {}, make('h2', {textContent: title}, state), output);
	actions.get(id)?.article.remove();
	actions.set(id, {article, output, state, lines: []});
	$('nothing').hidden = true;
	$('actions').prepend(article);
	while ($('actions').childElementCount > ACTIONS_MAX)
		$('actions').lastChild.remove();
	if (actions.size > ACTIONS_MAX)
		actions.delete(actions.keys().next().value);
}

function setOutput(id, text, done) {
	const action = actions.get(id);
	if (!action)
		return;
	action.output.textContent = text;
	action.output.hidden = !text;
	if (done !== undefined)
		action.state.textContent = done;
}

const ended = code => code === undefined || code === null ? '' : ` [${code}]`;
const activity = {
	action: ({id, action}) => addAction(id, describe(action)),
	output: ({id, from_line: line, text}) => {
		const action = actions.get(id);
		action?.lines.splice(line, Infinity, ...text.split('\n'));
		setOutput(id, action?.lines.join('\n') ?? '');
	},
	observation: ({id, observation}) => setOutput(id, String(observation.content), ended(observation.extras?.metadata?.exit_code)),
	error: ({id, detail}) => setOutput(id, detail, ' [error]'),
	bash_command: event => addAction(event.id, `$ ${event.command}`),
	bash_output: ({command_id: id, text}) => setOutput(id, ((actions.get(id)?.output.textContent ?? '') + text).slice(-VIEW_MAX)),
	bash_end: event => setOutput(event.command_id, actions.get(event.command_id)?.output.textContent ?? '', ended(event.exit_code)),
};

async function runActivity() {
	for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
		try {
			await follow('/events', activity);
		} catch (error) {
			if (error.status === 401 || error.status === 403)
				return;
		}
		await sleep(pause);
	}
}

// ---- start ----

async function start() {
	takeKey();
	try {
		await get('/api/console/files', {path: '/'}); // whether the key is right
	} catch (error) {
		if (error.status !== 401)
			notice(error.message);
		return;
	}
	$('ask').hidden = true;
	document.querySelector('main').hidden = false;
	document.title = `Sandbox ${location.host}`;
	document.querySelector('h1').textContent = document.title;
	$('keys').focus({preventScroll: true});
	runTerminal();
	runActivity();
}

$('ask').addEventListener('submit', event => {
	event.preventDefault();
	sessionStorage.setItem('key', $('key').value);
	$('key').value = '';
	location.reload();
});
addEventListener('hashchange', () => location.hash.length > 1 && (takeKey(), location.reload()));
start();
