BASE_SRC := $(wildcard runtime/base/*.c)
BASE_OBJ := $(BASE_SRC:%.c=$(O)/obj/%.o)
# What the static programs take from base: everything that needs no library.
BASE_STATIC := $(patsubst %.c,$(O)/static/%.o,$(filter-out runtime/base/options% runtime/base/fd_passing.c runtime/base/footprint.c runtime/base/json_out.c,$(BASE_SRC)))
