# azm-runtime-server: fully static, so that it runs in any root filesystem.
SERVER_SRC  := $(wildcard runtime/server/*.c)
SERVER_LIBS := -l:libmicrohttpd.a -l:libjansson.a -l:libvterm.a -lm

$(O)/azm-runtime-server: $(SERVER_SRC:%.c=$(O)/static/%.o) $(BASE_STATIC)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^ $(SERVER_LIBS)

PROGRAMS += $(O)/azm-runtime-server
