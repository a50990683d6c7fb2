// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/main.c: azm-rootfs, the program that makes and handles images. A command is a file beside this one and a
 * row here.
 */
#include "rootfs-tools/commands.h"

static const struct command commands[] = {
	{
		.name = "bootstrap",
		.operands = "DIR",
		.summary = "make a Debian image from packages, as an ordinary user",
		.options = bootstrap_options,
		.run = bootstrap_main,
		.details = "Makes DIR/rootfs, a Debian system with Python 3, Node.js, npm, git and what else agents "
			   "expect, and DIR/image.json,\nwhich says how to run it. Needs mmdebstrap and a user "
			   "namespace, but no root, no sub-ids. DIR appears when it is\ncomplete; downloads are kept "
			   "in the cache directory for the next run.\n\n"
			   "Variants: minimal (what the runtime server needs), standard (the default), build (and "
			   "compilers).\n"
			   "--mirror takes the URL of a copy of the Debian archive, used while building, or a whole "
			   "\"deb ...\" line, which\nstays in the image; it may be given more than once. http_proxy is "
			   "honoured.",
	},
	{
		.name = "unpack",
		.operands = "SRC DIR | --store SRC [NAME]",
		.summary = "make an image of an archive, as an ordinary user",
		.options = unpack_options,
		.run = unpack_main,
		.details =
			"SRC is an archive of an image as docker save, podman save, skopeo and buildah make it "
			"(docker-archive or\noci-archive), an OCI layout directory, the tar of docker export or of any "
			"root file system, or - for one on\nstandard input. Archives may be compressed by gzip, zstd, "
			"xz "
			"or bzip2. What it is, is found out; oci:DIR[:TAG],\noci-archive:FILE[:TAG] and "
			"docker-archive:FILE[:NAME] say it, and which image of several is meant.\n\n"
			"Makes DIR/rootfs, the files, all yours; DIR/image.json, the image's configuration; and "
			"DIR/owners.mtree, the\nowners, modes and devices that files of yours cannot have. DIR appears "
			"when every digest and size has been\nverified.\n\n"
			"With --store its layers are kept beside each other in the image store, each once, for "
			"`azm-sandbox run --rootfs\nazm:NAME`; layers that are there are not read again. The store is "
			"$AZM_IMAGE_STORE, else $XDG_DATA_HOME/azm-rootfs, else\n~/.local/share/azm-rootfs, else "
			"/var/tmp/azm-rootfs-UID. Without NAME the image is called as its archive says, or as\nthe "
			"file.",
	},
	{
		.name = "pull",
		.operands = "REF DIR | --store REF [NAME]",
		.summary = "make an image of one in a registry, as an ordinary user",
		.options = pull_options,
		.run = pull_main,
		.details =
			"REF is a name as Docker writes it: debian:12 is docker.io/library/debian:12; "
			"HOST[:PORT]/NAME[:TAG][@sha256:...] or\ndocker://... says more. A digest pins what comes. "
			"oci:, oci-archive: and docker-archive: are as with unpack, and so\nis the result.\n\n"
			"Blobs are kept in the image store ($AZM_IMAGE_STORE, else ~/.local/share/azm-rootfs) for the "
			"next image that has\nthem, up to $AZM_BLOB_CACHE_SIZE (16g), and what an interrupted pull "
			"has fetched is not fetched again. Layers are\nunpacked while others still come.\n\n"
			"Who you are at a registry is read where podman, skopeo and docker login wrote it: "
			"$REGISTRY_AUTH_FILE, else\n$XDG_RUNTIME_DIR/containers/auth.json, "
			"~/.config/containers/auth.json, ~/.docker/config.json, with the credential\nhelpers these "
			"name. Mirrors are read from registries.conf (~/.config/containers, else /etc/containers), "
			"certificates\nfrom certs.d there. A registry on loopback may do without TLS, others only with "
			"--insecure. http_proxy,\nhttps_proxy and no_proxy are honoured.",
	},
	{
		.name = "push",
		.operands = "SRC REF",
		.summary = "put an image into a registry",
		.options = push_options,
		.run = push_main,
		.details =
			"SRC is as with unpack, or docker://NAME. The image keeps its digest, which is printed. What "
			"the registry has\nalready is not sent, nor what it can take from another image of its own. "
			"Logins, certificates and --insecure\nare as with pull.",
	},
	{
		.name = "export",
		.operands = "SRC OUT",
		.summary = "write an image in a form that docker, podman and others read",
		.options = export_options,
		.run = export_main,
		.details =
			"SRC is an unpacked image, or an archive or layout as for unpack. OUT is a new file or "
			"directory, or - for\nstandard output; oci:DIR[:TAG], oci-archive:FILE[:TAG] and "
			"docker-archive:FILE[:NAME] say its format, too.\n\n"
			"Of an unpacked image, the owners, modes and devices in DIR/owners.mtree are given back, and "
			"everything else belongs\nto root; it becomes one layer. The layers of an archive or layout "
			"are "
			"verified and stay what they are. The same files\nand the same SOURCE_DATE_EPOCH give the same "
			"bytes; no file is younger than that.",
	},
	{
		.name = "build",
		.operands = "CONTEXT [DIR]",
		.summary = "make an image from a Dockerfile, as an ordinary user",
		.options = build_options,
		.run = build_main,
		.details = "Reads CONTEXT/Dockerfile and makes DIR as unpack does, or with --tag an image of the "
			   "store, or both. "
			   "Layers are kept\nin the store and used again when what they were made of is the same; see "
			   "azm-rootfs gc. "
			   "RUN works in a sandbox\n(azm-sandbox, beside this program or in PATH) as its root, without "
			   "network unless "
			   "--egress allows it.\n\n"
			   "FROM takes a name of the store or of a registry, scratch, an earlier stage, a path in the "
			   "context (./base, "
			   "oci:DIR),\nor what --build-context gives a name. ADD unpacks archives of the context and "
			   "fetches nothing. "
			   "Of RUN --mount there\nare cache and tmpfs.",
	},
	{
		.name = "ls",
		.operands = "",
		.summary = "list the images in the store",
		.options = ls_options,
		.run = ls_main,
	},
	{
		.name = "rm",
		.operands = "NAME...",
		.summary = "remove images from the store, with the layers only they have",
		.options = rm_options,
		.run = rm_main,
	},
	{
		.name = "gc",
		.operands = "",
		.summary = "remove what no image and no sandbox needs from the store",
		.options = gc_options,
		.run = gc_main,
		.details = "Layers without a name go, those of builds too, and what killed commands left. Of downloads "
			   "the "
			   "oldest go when\nall together are larger than AZM_BLOB_CACHE_SIZE (16g).",
	},
	{
		.name = "df",
		.operands = "",
		.summary = "say how much the images in the store take, and share",
		.options = df_options,
		.run = df_main,
	},
	{
		.name = "diff",
		.operands = "A B",
		.summary = "list what is added (A), changed (C) and deleted (D) from A to B",
		.options = diff_options,
		.run = diff_main,
		.details = "A and B are images in the store (azm:NAME), unpacked images or trees of files. Owners are "
			   "compared "
			   "where both\nhave them remembered; times are not.",
	},
	{
		.name = "commit",
		.operands = "BASE OUT",
		.summary = "write an image and what an overlay changed of it as another image",
		.options = commit_options,
		.run = commit_main,
		.details = "What azm-sandbox commit runs. BASE is an unpacked image; each --upper is a directory of "
			   "changes on "
			   "top of it, in\nthe form that overlay(5) gives an upper directory (userxattr). OUT is a new "
			   "directory, which gets the whole tree, or an\narchive or layout as for export, where the "
			   "changes are layers of their own.",
	},
	{
		.name = "inspect",
		.operands = "SRC",
		.summary = "show what an image says about itself",
		.options = inspect_options,
		.run = inspect_main,
		.details = "SRC is an unpacked image, azm:NAME in the store, or an archive, layout or name as for "
			   "unpack. Text "
			   "of the image is shown\nwithout what could drive the terminal.",
	},
	{
		.name = "verify",
		.operands = "[DIR] SRC",
		.summary = "read an image whole and compare it with what it says, or with what it was made of",
		.options = verify_options,
		.run = verify_main,
		.details =
			"verify SRC reads every document and layer of an archive, a layout or a name as for unpack: "
			"digests, "
			"sizes, and what\nlayers decompress to. Of a stored or unpacked image it reads every file and "
			"record.\n\nverify DIR SRC compares an unpacked image with what it was unpacked from and "
			"prints a "
			"line for every difference:\ntype, content, mode, owner, device, link, attributes, time (but "
			"directories'). SRC is read for that, nothing is\nwritten (where the kernel has no "
			"private memory file system with attributes, before Linux 6.6, empty files\nin $TMPDIR or "
			"/var/tmp). Exit status 1: there are differences.",
	},
	{ .name = NULL },
};

const struct program rootfs_program = {
	.name = "azm-rootfs",
	.summary = "make and handle images for azm-sandbox",
	.description = "azm-rootfs makes root file systems that azm-sandbox(1) runs, without any privilege.",
	.commands = commands,
};

int main(int argc, char **argv)
{
	program_refuse_privileges(&rootfs_program);
	return program_main(&rootfs_program, argc, argv);
}
