// SPDX-License-Identifier: GPL-2.0-or-later
// The other tabs: files, processes and resources, activity; and the start.

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
