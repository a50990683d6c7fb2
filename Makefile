# azm-sandbox: build, test, install. `make help` lists the targets.
#
# Each folder has a module.mk that names its sources and programs; this file holds what they share.
# SAN=1 builds everything with AddressSanitizer and UBSan into build-san/ instead of build/.

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
O       := $(if $(SAN),build-san,build)

comma    := ,
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Werror
HARDEN   := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fstack-clash-protection -fcf-protection
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS   ?= -O2 -g
# clang before 16 knows [[gnu::...]] in C only when told.
DIALECT  := $(if $(findstring clang,$(CC)),-fdouble-square-bracket-attributes)
# What every object of ours is compiled with; add to CFLAGS on the command line, not to this.
AZM_CFLAGS  := -std=gnu17 $(DIALECT) -D_GNU_SOURCE -iquote . -iquote runtime -iquote $(O)/gen $(WARNINGS) $(HARDEN) $(SANFLAGS) -fno-common
AZM_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections $(SANFLAGS)

# Part of the C library since glibc 2.34; with --as-needed they cost nothing there.
OLD_LIBC_LIBS := -lpthread -ldl -lutil -lrt

# Debian 11's libarchive.a brings every writer along with one, and an XML library with that of xar, which nobody calls.
NO_XAR := -Wl,--defsym=archive_write_set_format_xar=0

PROGRAMS :=
TESTS    :=
all: programs

include runtime/base/module.mk mount/module.mk seccomp/module.mk netns/module.mk
include runtime/init/module.mk runtime/server/module.mk runtime/module.mk rootfs-tools/module.mk tests/module.mk

programs: $(PROGRAMS)

# Three flavours of an object: for a dynamic PIE, for a static program, for fuzzing (see tests/module.mk).
$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(AZM_CFLAGS) $(CFLAGS) -fPIE -ffunction-sections -fdata-sections -MMD -MP -c -o $@ $<

# Static programs go into any rootfs: no sanitizer runtime (ASan cannot be linked statically), no PIE relocations.
$(O)/static/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize% -fno-sanitize%,$(AZM_CFLAGS)) $(CFLAGS) -fno-pie -ffunction-sections -fdata-sections -MMD -MP -c -o $@ $<

STATIC_LDFLAGS := -static -no-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections

-include $(shell find $(O) -name '*.d' 2>/dev/null)

clean:
	rm -rf build build-san

# ---- what the machine needs --------------------------------------------------------------------------------------
# Debian and Ubuntu package names. `make deps` installs what is missing, with sudo when not root.
DEPS_BUILD := gcc libc6-dev musl-tools make pkg-config libseccomp-dev libcap-dev libmnl-dev libnftnl-dev libnl-3-dev \
	libjansson-dev libmicrohttpd-dev libvterm-dev libidn2-dev libunistring-dev \
	libarchive-dev nettle-dev liblzma-dev libzstd-dev libbz2-dev zlib1g-dev libdeflate-dev libssl-dev libisal-dev libcurl4-openssl-dev
DEPS_RUN   := mmdebstrap debian-archive-keyring util-linux curl
DEPS_TEST  := bats jq libcmocka-dev busybox-static strace python3 python3-ipython curl man-db groff uidmap git chromium \
	git openssl openssh-client dropbear-bin redis-tools postgresql python3-pip iproute2 procps passt gdb
# What images are made and compared with.
DEPS_TEST  += umoci skopeo docker-registry apache2-utils
# nodejs of some sources brings its npm along and conflicts with the package.
DEPS_TEST  += $(if $(shell command -v npm),,npm)
DEPS_LINT  := clang clang-tidy clang-format cppcheck shellcheck

deps:
	@.ci/install-packages $(DEPS_BUILD) $(DEPS_RUN)
deps-test: deps
	@.ci/install-packages $(DEPS_TEST)
# Other hosts, as machines under qemu; see tests/vm/README.md.
deps-vm: deps
	@.ci/install-packages qemu-system-x86 e2fsprogs
print-deps-build:
	@echo $(DEPS_BUILD)
deps-lint: deps
	@.ci/install-packages $(DEPS_LINT)

# ---- the two commands --------------------------------------------------------------------------------------------
run: deps
	@$(MAKE) --no-print-directory programs
	@rootfs-tools/make-run.sh $(O)

check: deps-test
	@$(MAKE) --no-print-directory tests
	@tests/run-tests.sh $(O)

check-vm: deps-vm
	@tests/vm/check-vm.sh

# Images of real size through every tool: minutes, and gigabytes in /var/tmp.
check-images: deps-test
	@$(MAKE) --no-print-directory programs
	@tests/images/real.sh $(O)
	@$(MAKE) --no-print-directory tests
	@tests/run-tests.sh $(O) $(wildcard tests/real/*.bats)

# ---- quality -----------------------------------------------------------------------------------------------------
C_FILES  := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
SH_FILES := $(shell git ls-files '*.sh' .ci/run .ci/install-packages 2>/dev/null)
BATS_FILES := $(shell git ls-files '*.bats' '*.bash' 2>/dev/null)

format:
	clang-format -i $(C_FILES)

lint: deps-lint
	@$(MAKE) --no-print-directory $(SECCOMP_GEN) $(O)/gen/embed_tags.h
	clang-format --dry-run --Werror $(C_FILES)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
		--suppressions-list=.ci/cppcheck-suppressions -I. -Iruntime $(filter %.c,$(C_FILES))
	shellcheck $(SH_FILES)
	shellcheck --shell=bats $(BATS_FILES)
	@$(MAKE) --no-print-directory -j2 $(patsubst %.c,$(O)/tidy/%.ok,$(filter %.c,$(C_FILES)))

# One file at a time, so that only what changed is looked at again.
$(O)/tidy/%.ok: %.c .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- -std=gnu17 -D_GNU_SOURCE -fdouble-square-bracket-attributes \
		-iquote . -iquote runtime -iquote $(O)/gen -isystem /usr/include/libnl3
	@touch $@

# ---- installation ------------------------------------------------------------------------------------------------
BINDIR := $(DESTDIR)$(PREFIX)/bin
MANDIR := $(DESTDIR)$(PREFIX)/share/man/man1

install: programs
	install -d $(BINDIR) $(MANDIR) $(DESTDIR)$(PREFIX)/libexec/azm-sandbox
	install -m 0755 $(O)/azm-sandbox $(O)/azm-rootfs $(BINDIR)
	install -m 0755 $(O)/azm-runtime-server $(DESTDIR)$(PREFIX)/libexec/azm-sandbox
	for program in azm-sandbox azm-rootfs; do \
		$(O)/$$program help man > $(MANDIR)/$$program.1 && \
		install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
			$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d && \
		$(O)/$$program help completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program && \
		$(O)/$$program help completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$program && \
		$(O)/$$program help completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$program.fish \
		|| exit 1; done

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/libexec/azm-sandbox
	for program in azm-sandbox azm-rootfs; do rm -f $(BINDIR)/$$program $(MANDIR)/$$program.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$program \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$program.fish; done

help:
	@echo 'make run        build, make img/ if there is none, start the runtime server in a sandbox'
	@echo 'make check      build, run every test, close with the counts (SAN=1: with sanitizers)'
	@echo 'make check-crash   a thousand kills in the life of a sandbox, nothing may be left'
	@echo 'make soak          an hour of starts, forks, kills (SOAK_SECONDS=600)'
	@echo 'make check-images  images of real size, through skopeo, umoci, buildah, podman; a browser and Python packages inside'
	@echo 'make all deps install uninstall (PREFIX, DESTDIR) lint format bench fuzz clean'

.PHONY: check-images check-vm deps-vm print-deps-build all programs clean deps deps-test deps-lint run check format lint install uninstall help
.DELETE_ON_ERROR:
.SECONDARY:
