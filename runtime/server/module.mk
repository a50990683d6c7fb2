# azm-runtime-server: fully static, so that it runs in any root filesystem.
SERVER_SRC  := $(wildcard runtime/server/*.c)
SERVER_BASE := $(BASE_SRC)
ARCHIVE_LIBS := $(NO_XAR) -l:libarchive.a -l:libnettle.a -l:liblzma.a -l:libzstd.a -l:libbz2.a -l:libz.a -l:libdeflate.a -Wl,--wrap=crc32 -Wl,-u,__wrap_crc32
SERVER_LIBS := -l:libmicrohttpd.a -l:libjansson.a -l:libvterm.a $(ARCHIVE_LIBS) -lm $(OLD_LIBC_LIBS)

# Python cells: the helper's source is in the program.
$(O)/static/runtime/server/cells.o $(O)/obj/runtime/server/cells.o $(O)/obj/fuzz/runtime/server/cells.o: runtime/server/cells.py

# The console page: one file, and a header that says where it is.
CONSOLE_PARTS := $(addprefix runtime/server/console/,page.html style.css base.js terminal.js panels.js assemble.sh)
$(O)/gen/console.h: $(CONSOLE_PARTS)
	@mkdir -p $(@D)
	runtime/server/console/assemble.sh $(O)/gen/console.html $@
$(foreach kind,static obj obj/fuzz,$(O)/$(kind)/runtime/server/console_page.o): $(O)/gen/console.h

$(O)/azm-runtime-server: $(SERVER_SRC:%.c=$(O)/static/%.o) $(SERVER_BASE:%.c=$(O)/static/%.o)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^ $(SERVER_LIBS)

PROGRAMS += $(O)/azm-runtime-server

# The same program linked dynamically, for sanitizers (make SAN=1 build-san/test-server-san) and debuggers.
$(O)/test-server-san: $(SERVER_SRC:%.c=$(O)/obj/%.o) $(BASE_OBJ)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(SERVER_LIBS)

SERVER_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_server_*.c))
SERVER_TESTED := $(filter-out runtime/server/main.c,$(SERVER_SRC))
$(SERVER_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(SERVER_TESTED:%.c=$(O)/obj/%.o) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(SERVER_LIBS) -lcmocka
TESTS += $(SERVER_TESTS)
