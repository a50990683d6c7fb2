// SPDX-License-Identifier: GPL-2.0-or-later
// The terminal's tab: screens as the server draws them, keys on their way to it.

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
