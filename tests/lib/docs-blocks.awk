# SPDX-License-Identifier: GPL-2.0-or-later
# docs-blocks.awk: the shell blocks of a Markdown page.
#
#     awk -v section=TITLE -v kind='sh' -f docs-blocks.awk PAGE    the text of the blocks "```sh" below that heading
#     awk -v list=1 -f docs-blocks.awk PAGE                        headings with blocks: "kind<TAB>title", one a block
#
# A heading owns the blocks up to the next heading of any depth.
/^```/ {
	if (block != "") {
		block = ""
	} else {
		block = substr($0, 4)
		if (block == "")
			block = "text"
		if (list && block ~ /^sh( |$)/)
			print block "\t" title
	}
	next
}
block == "" && /^#+ / { title = $0; sub(/^#+ /, "", title) }
block != "" && !list && block == kind && title == section
