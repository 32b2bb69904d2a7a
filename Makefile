# slid: one Makefile for the agent, its kernel programs and every test. All output goes to $(O).
#   make            build $(O)/slid            sudo make deps   install what is missing (Debian)
#   sudo make demo  see the main job done      sudo make test   run every test
#   make bench      measure                    V=1              show commands
O          ?= build
CC         ?= gcc
CLANG      ?= clang
BPFTOOL    ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
Q          := $(if $(V),,@)
say         = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

PKGS       := libbpf libcurl libprotobuf-c libmicrohttpd libcyaml yaml-0.1
WARN       := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
SAN        ?=
OPT        ?= -O2
# bpf/ headers are shared with the agent through include/ only.
CPPFLAGS   += -Iinclude -Iagent -I$(O)/gen -D_GNU_SOURCE -DSLID_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PKGS))
CFLAGS     += -std=gnu11 -g $(OPT) $(WARN) -fno-omit-frame-pointer $(SAN)
LDLIBS     += $(shell pkg-config --libs $(PKGS)) -lsnappy -lelf -lz -lpthread -lm
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude -Ibpf \
              -I/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

ROOMS      := base capture workload sli export serve config print run
SRCS       := $(foreach room,$(ROOMS),$(wildcard agent/$(room)/*.c))
OBJS       := $(SRCS:%.c=$(O)/%.o) $(O)/gen/remote.pb-c.o
LIB        := $(O)/libslid.a
TESTS      := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/test_*.c))
FUZZERS    := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/fuzz_*.c))
BPFTESTS   := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/bpf_*.c))
BENCHES    := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/bench_*.c))
TOOLS      := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/tool_*.c)) # what e2e_*.sh run
TEST_LIBS  := -lcmocka

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps demo test unit bench lint fmt install clean tests tools e2e fuzz help
all: $(O)/slid

help:
	@sed -n '1,4s/^# \{0,1\}//p' Makefile

# ---- the kernel programs: .bpf.c -> .bpf.o -> skeleton -------------------------------------
$(O)/bpf/%.bpf.o: bpf/%.bpf.c | $(O)/gen
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@.tmp
	$(Q)$(BPFTOOL) gen object $@ $@.tmp && rm -f $@.tmp

$(O)/gen/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf > $@

# ---- the wire formats: .proto -> protobuf-c --------------------------------------------------
$(O)/gen/%.pb-c.c $(O)/gen/%.pb-c.h &: agent/export/%.proto | $(O)/gen
	$(call say,PROTOC,$@)
	$(Q)protoc-c --c_out=$(O)/gen -Iagent/export $<

$(O)/gen/%.pb-c.o: $(O)/gen/%.pb-c.c
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 -g $(OPT) $(SAN) -c $< -o $@

$(O)/gen:
	@mkdir -p $@

# ---- the agent ---------------------------------------------------------------------------------
$(O)/agent/%.o: agent/%.c | $(O)/gen/slid.skel.h $(O)/gen/remote.pb-c.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(OBJS)

$(O)/slid: $(O)/agent/main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

# ---- tests -------------------------------------------------------------------------------------
$(O)/tests/%.o: tests/%.c | $(O)/gen/slid.skel.h $(O)/gen/remote.pb-c.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -DTESTS_DIR='"tests"' -MMD -MP -c $< -o $@

$(O)/tests/test_% $(O)/tests/bpf_% $(O)/tests/bench_%: $(O)/tests/%.o
$(TESTS) $(BPFTESTS) $(BENCHES): $(O)/tests/%: $(O)/tests/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(TEST_LIBS) $(LDLIBS) -o $@

$(TOOLS): $(O)/tests/%: $(O)/tests/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

tools: $(TOOLS)

# End to end, with real servers; as root. E2E: which.
E2E        ?= $(wildcard tests/e2e_*.sh)
e2e: $(O)/slid $(TOOLS)
	$(Q)O=$(O) tests/run.sh $(filter-out tests/e2e_lib.sh,$(E2E))

clean:
	rm -rf $(O)

-include $(OBJS:.o=.d) $(O)/agent/main.d $(TESTS:=.d) $(BPFTESTS:=.d) $(BENCHES:=.d) $(TOOLS:=.d) $(wildcard $(O)/bpf/*.d)
