# slid: one Makefile for the agent, its kernel programs and every test. All output goes to $(O).
#   make            build $(O)/slid             sudo make demo  install what is missing, see the main job
#   sudo make test  install what is missing, run every test        make bench      measure
#   sudo make deps  install what a build needs  make install    DESTDIR=, PREFIX=/usr
#   make fuzz       FUZZ_SECONDS=20             make lint fmt   check, format
#   V=1             show commands               SAN=, CC=, O=   sanitizers, compiler, output
O          ?= build
CC         ?= gcc
CLANG      ?= clang
BPFTOOL    ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Rewritten only when it changes, so that a commit does not rebuild what it did not touch.
$(shell mkdir -p $(O)/gen; echo '#define SLID_VERSION "$(VERSION)"' | cmp -s - $(O)/gen/version.h || \
   echo '#define SLID_VERSION "$(VERSION)"' > $(O)/gen/version.h)
Q          := $(if $(V),,@)
say         = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

PKGS       := libbpf libcurl libprotobuf-c libmicrohttpd libcyaml yaml-0.1
WARN       := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
SAN        ?=
OPT        ?= -O2
# bpf/ headers are shared with the agent through include/ only.
CPPFLAGS   += -Iinclude -Iagent -I$(O)/gen -D_GNU_SOURCE -include $(O)/gen/version.h $(shell pkg-config --cflags $(PKGS))
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
	@sed -n '1,6s/^# \{0,1\}//p' Makefile

# ---- the kernel programs: .bpf.c -> .bpf.o -> skeleton -------------------------------------
define build_bpf
$(call say,BPF,$@)
@mkdir -p $(@D)
$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@.tmp
$(Q)$(BPFTOOL) gen object $@ $@.tmp && rm -f $@.tmp
endef

$(O)/bpf/%.bpf.o: bpf/%.bpf.c | $(O)/gen
	$(build_bpf)

# The same programs for bpf_prog_test_run(), see bpf/testing.h.
$(O)/bpf/slid_test.bpf.o: BPF_CFLAGS += -DSLID_TEST
$(O)/bpf/slid_bench.bpf.o: BPF_CFLAGS += -DSLID_BENCH
$(O)/bpf/slid_%.bpf.o: bpf/slid.bpf.c | $(O)/gen
	$(build_bpf)

$(O)/gen/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)echo '#pragma GCC system_header' > $@ # its warnings are not ours
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf >> $@

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

$(patsubst tests/%.c,$(O)/tests/%.o,$(wildcard tests/bpf_*.c)): | $(O)/gen/slid_test.skel.h
$(O)/tests/bench_bpf.o: | $(O)/gen/slid_bench.skel.h

$(TOOLS): $(O)/tests/%: $(O)/tests/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

tools: $(TOOLS)

# End to end, with real servers; as root. E2E: which.
E2E        ?= $(sort $(filter-out tests/e2e_lib.sh,$(wildcard tests/e2e_*.sh)))
e2e: $(O)/slid $(TOOLS)
	$(Q)O=$(O) tests/run.sh $(E2E)

# ---- fuzzers: tests/fuzz_X.c, with seeds by tests/corpus_X.sh and words of tests/X.dict ------------
FUZZ_SECONDS ?= 20
FUZZ_MAX_LEN ?= 2048
FUZZ_CFLAGS  := -std=gnu11 -g -O1 $(WARN) -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=all
$(O)/tests/fuzz_http: FUZZ_LIBS := -lhttp_parser

$(FUZZERS): $(O)/tests/%: tests/%.c | $(O)/gen
	$(call say,FUZZER,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -Itests -MMD -MP -MF $@.d -MT $@ $< $(FUZZ_LIBS) -o $@

.PHONY: $(FUZZERS:=.run)
$(FUZZERS:=.run): $(O)/tests/fuzz_%.run: $(O)/tests/fuzz_%
	$(call say,FUZZ,"$< for $(FUZZ_SECONDS) s")
	@mkdir -p $(O)/corpus/$* $(O)/corpus/$*.seed
	$(Q)if [ -f tests/corpus_$*.sh ]; then sh tests/corpus_$*.sh $(O)/corpus/$*.seed; fi
	$(Q)$< -max_total_time=$(FUZZ_SECONDS) -max_len=$(FUZZ_MAX_LEN) -timeout=10 -verbosity=0 \
	   -artifact_prefix=$(O)/corpus/ $(addprefix -dict=,$(wildcard tests/$*.dict)) \
	   $(O)/corpus/$* $(O)/corpus/$*.seed > $(O)/corpus/$*.log 2>&1 || \
	   { grep -av '^ *#' $(O)/corpus/$*.log | tail -30; exit 1; }

fuzz: $(FUZZERS:=.run)

bench: $(BENCHES) $(O)/slid
	$(Q)$(O)/tests/bench_bpf $(BENCH_ARGS)
	$(Q)O=$(O) tests/bench_nginx.sh $(BENCH_ARGS)

# ---- everything, from a fresh machine ----------------------------------------------------------
deps:
	@tools/deps.sh build

demo:
	@tools/deps.sh demo
	@$(MAKE) --no-print-directory all
	@O=$(O) tools/demo.sh

# gcc's programs and scripts run once more as clang's and under the sanitizers where that tells more.
ASAN := SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined" OPT=-O1 O=$(O)-asan
test:
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j2 all tests
	@$(MAKE) --no-print-directory -j2 CC=clang O=$(O)-clang all
	@$(MAKE) --no-print-directory -j2 $(ASAN) all unit
	@$(MAKE) --no-print-directory -j2 fuzzers
	@O=$(O) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run.sh $(TESTS) $(TESTS:$(O)/%=$(O)-asan/%) $(BPFTESTS) \
	   tests/fuzz.sh $(E2E)

unit: $(TESTS)
tests: unit $(BPFTESTS) $(TOOLS)
fuzzers: $(FUZZERS)

# ---- upkeep -------------------------------------------------------------------------------------
lint:
	shellcheck -x -P tests tools/*.sh tests/*.sh
	cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,portability -Iinclude -Iagent agent

fmt:
	clang-format -i agent/*/*.[ch] agent/main.c bpf/*.[ch] include/slid/*.h tests/*.[ch]

PREFIX ?= /usr
install: all
	install -D -m 755 $(O)/slid $(DESTDIR)$(PREFIX)/sbin/slid
	install -D -m 644 deploy/slid.service $(DESTDIR)/lib/systemd/system/slid.service
	[ -e $(DESTDIR)/etc/slid/slid.yaml ] || install -D -m 644 deploy/slid.yaml $(DESTDIR)/etc/slid/slid.yaml

clean:
	rm -rf $(O) $(O)-asan $(O)-clang

-include $(OBJS:.o=.d) $(O)/agent/main.d $(TESTS:=.d) $(BPFTESTS:=.d) $(BENCHES:=.d) $(TOOLS:=.d) $(FUZZERS:=.d) $(wildcard $(O)/bpf/*.d)
