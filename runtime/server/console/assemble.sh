#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# assemble.sh HTML HEADER: the console page as one file, and for the compiler where it is and what its Content-Security-Policy
# allows: the two pieces of it that are not markup, by their hashes.
set -eu
here=$(dirname "$0")
html=$1
header=$2

# One script: what a file defines, those behind it use.
script() {
	cat "$here/base.js" "$here/terminal.js" "$here/panels.js"
}

hash_of() { # standard input, in the form of a policy
	hex=$(sha256sum | cut -d' ' -f1)
	# coreutils' printf knows \x, a shell's may not.
	printf 'sha256-%s' "$(env printf "$(echo "$hex" | sed 's/../\\x&/g')" | base64)"
}

while IFS= read -r line; do
	case $line in
	'<style></style>')
		printf '<style>'
		cat "$here/style.css"
		echo '</style>'
		;;
	'<script></script>')
		printf '<script>'
		script
		echo '</script>'
		;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$here/page.html" >"$html"

{
	echo "#define CONSOLE_PAGE \"$html\""
	echo "#define CONSOLE_SCRIPT \"$(script | hash_of)\""
	echo "#define CONSOLE_STYLE \"$(hash_of <"$here/style.css")\""
} >"$header"
