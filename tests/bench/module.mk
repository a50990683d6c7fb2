# Benchmarks: `make bench` prints one table of medians and ratios. Never part of `make check`.

# The least a sandbox can do: see floor.c. Static, as the fastest start is.
$(O)/bench/floor: $(patsubst %,$(O)/static/tests/bench/%.o,floor floor_net floor_steps) $(SECCOMP_STATIC) $(BASE_STATIC)
	@mkdir -p $(@D)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^

# Both ends of a published port; its server runs in any root.
$(O)/bench/bench_publish: $(O)/static/tests/bench/bench_publish.o $(BASE_STATIC)
	@mkdir -p $(@D)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^

# What an action costs at least: see floor_http.c.
$(O)/bench/floor_http: $(O)/static/tests/bench/floor_http.o $(O)/static/runtime/server/tls_absent.o $(BASE_STATIC)
	@mkdir -p $(@D)
	$(CC) $(STATIC_LDFLAGS) -o $@ $^ -l:libmicrohttpd.a

BENCH_DRIVERS := $(O)/bench/spawn_bench $(O)/bench/action_bench

$(BENCH_DRIVERS): $(O)/bench/%: $(O)/obj/tests/bench/%.o $(O)/obj/tests/bench/bench.o $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -o $@ $^

BENCH_PROGRAMS += $(O)/bench/floor $(O)/bench/floor_http $(O)/bench/bench_publish $(BENCH_DRIVERS)

bench: programs $(BENCH_PROGRAMS) $(O)/tests/probe
	tests/bench/run-bench.sh $(O)

# One command that prints ten gigabytes: two minutes.
bench-flood: $(O)/azm-runtime-server
	python3 tests/bench/flood.py $(O)/azm-runtime-server

# Sandboxes come and go, and are killed, for an hour: memory and descriptors of who stays have to be flat.
SOAK_SECONDS ?= 3600
soak: programs $(O)/tests/probe
	python3 tests/bench/soak.py $(O) $(SOAK_SECONDS)

.PHONY: bench bench-flood soak
