#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# stock.sh DIR: what the tests' internet has on its shelves, made anew for every suite.
#
#     DIR/ca.pem server.pem server.key   a certificate authority and what it signed
#     DIR/git/hello.git                  a repository
#     DIR/www/{pypi,npm,deb}.test/       one package each
#     DIR/home/                          of the ssh server's user, with the key of the client in DIR/ssh/
set -eu
dir=$1
mkdir -p "$dir/git" "$dir/www" "$dir/home/.ssh" "$dir/ssh"
cd "$dir"
export HOME="$dir/home" GIT_CONFIG_NOSYSTEM=1 SOURCE_DATE_EPOCH=1700000000

certificates() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=test authority' \
		-keyout ca.key -out ca.pem 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=example.test' \
		-keyout server.key -out server.csr 2>/dev/null
	printf "subjectAltName=%s\n" \
		DNS:example.test,DNS:*.example.test,DNS:evilexample.test,DNS:other.test,DNS:pypi.test,DNS:npm.test,DNS:deb.test >server.ext
	openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
		-out server.pem 2>/dev/null
}

repository() {
	git init -q --bare git/hello.git
	git init -q -b main work
	echo 'hello from git' >work/README
	git -C work add README
	git -C work -c user.name=t -c user.email=t@example.test commit -q -m first
	git -C work push -q "$dir/git/hello.git" main
	git -C git/hello.git symbolic-ref HEAD refs/heads/main
	rm -rf work
}

ssh_keys() {
	ssh-keygen -q -t ed25519 -N '' -C client -f ssh/id
	ssh-keygen -q -t ed25519 -N '' -C host -f ssh/host
	dropbearconvert openssh dropbear ssh/host ssh/host.dropbear 2>/dev/null
	cp ssh/id.pub home/.ssh/authorized_keys
	chmod 0700 home home/.ssh
	chmod 0600 home/.ssh/authorized_keys
	{
		printf 'git.example.test '
		cat ssh/host.pub
	} >ssh/known_hosts
}

# A wheel is a zip archive with these four files.
pypi() {
	mkdir -p www/pypi.test/simple/azm-hello
	python3 - www/pypi.test/simple/azm-hello <<-'END'
		import sys, zipfile
		name = "azm_hello-1.0-py3-none-any.whl"
		info = "azm_hello-1.0.dist-info/"
		with zipfile.ZipFile(f"{sys.argv[1]}/{name}", "w") as wheel:
		    wheel.writestr("azm_hello.py", "print('hello from pip')\n")
		    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: azm-hello\nVersion: 1.0\n")
		    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
		    wheel.writestr(info + "RECORD", f"azm_hello.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n")
		with open(f"{sys.argv[1]}/index.html", "w") as index:
		    index.write(f'<html><body><a href="{name}">{name}</a></body></html>\n')
	END
}

npm() {
	mkdir -p www/npm.test/tarballs package
	echo '{"name":"azm-hello","version":"1.0.0","main":"index.js"}' >package/package.json
	echo 'console.log("hello from npm")' >package/index.js
	tar czf www/npm.test/tarballs/azm-hello-1.0.0.tgz package
	rm -r package
	printf '{"name":"azm-hello","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"azm-hello",
		"version":"1.0.0","dist":{"tarball":"https://npm.test/tarballs/azm-hello-1.0.0.tgz","shasum":"%s"}}}}\n' \
		"$(sha1sum <www/npm.test/tarballs/azm-hello-1.0.0.tgz | cut -d' ' -f1)" >www/npm.test/azm-hello
}

# A flat repository: packages and their list in one directory.
deb() {
	mkdir -p www/deb.test azm-hello/DEBIAN azm-hello/opt/azm-hello
	printf 'Package: azm-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@example.test>\nDescription: hello\n' \
		>azm-hello/DEBIAN/control
	echo 'hello from apt' >azm-hello/opt/azm-hello/said
	dpkg-deb -Znone --root-owner-group -b azm-hello www/deb.test/azm-hello.deb >/dev/null
	{
		cat azm-hello/DEBIAN/control
		printf 'Filename: ./azm-hello.deb\nSize: %s\nSHA256: %s\n\n' "$(stat -c %s www/deb.test/azm-hello.deb)" \
			"$(sha256sum <www/deb.test/azm-hello.deb | cut -d' ' -f1)"
	} >www/deb.test/Packages
	rm -r azm-hello
}

certificates
repository
ssh_keys
pypi
npm
deb
