# The sandbox's network: keeper, bridge, veth (libnl), packet filter (libnftnl), publishing, egress. NETNS_LIBS comes
# last on a link line.
NETNS_SRC  := $(wildcard netns/*.c)
NETNS_OBJ  := $(NETNS_SRC:%.c=$(O)/obj/%.o)
# Names in other scripts take libidn2. The name functions of libresolv are in the C library since glibc 2.34.
NETNS_LIBS := -l:libnl-3.a -l:libnftnl.a -lmnl -l:libidn2.a -l:libunistring.a -lresolv -lm $(OLD_LIBC_LIBS)

$(O)/obj/netns/%.o: AZM_CFLAGS += -isystem /usr/include/libnl3

NETNS_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard \
	tests/unit/test_network*.c tests/unit/test_publish*.c tests/unit/test_egress_*.c tests/unit/test_dns_*.c))
TESTS += $(NETNS_TESTS)

$(NETNS_TESTS): $(O)/tests/%: $(O)/obj/tests/unit/%.o $(NETNS_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(NETNS_LIBS) -lcmocka

$(filter $(addprefix $(O)/tests/test_,network% egress_decide egress_broker dns_re%),$(NETNS_TESTS)): $(O)/obj/tests/unit/network_fixture.o
$(filter $(O)/tests/test_dns_re%,$(NETNS_TESTS)): $(O)/obj/tests/unit/dns_fixture.o

# The same resolver client with two C libraries: the host's, and musl's, whose resolver asks differently.
TEST_PROGRAMS += $(O)/tests/lookup-glibc $(O)/tests/lookup-musl
$(O)/tests/lookup-glibc: tests/lib/lookup.c
	@mkdir -p $(@D)
	$(CC) $(AZM_CFLAGS) $(CFLAGS) -fPIE -pie -o $@ $<
$(O)/tests/lookup-musl: tests/lib/lookup.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

NETNS_BENCH := $(O)/tests/bench_network
BENCH_PROGRAMS += $(NETNS_BENCH)

$(NETNS_BENCH): $(O)/tests/%: $(O)/obj/tests/bench/%.o $(NETNS_OBJ) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(AZM_LDFLAGS) -pie -o $@ $^ $(NETNS_LIBS)
