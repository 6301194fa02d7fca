#!/usr/bin/env bash
# The CUDA backend on a machine with a GPU: built for that device, held against the case table, sanitized, measured.
#
#   scripts/gpu.sh [pack] [build] [test] [sanitize] [bench] [peers]     default: build test sanitize bench peers
#
#   pack      with Node, on any machine: the cases of test/cases into build/gpu_cases, which the GPU's machine needs
#   build     nvcc and g++, for the device's own architecture (ARCH=90 scripts/gpu.sh build: for another machine's)
#   test      every case, with arrays on the host and on the device; its results go to $OUT, and
#             `node scripts/gpu_cases.mjs compare $OUT/results.bin.gz.*` holds them against the reference, here or elsewhere
#   sanitize  compute-sanitizer: memcheck, racecheck, initcheck, synccheck, on a sample of the cases
#   bench     bench/cuda/step_bench.cu
#   peers     bench/cuda/peers.py: PyTorch, torch.compile, Triton, Liger, quack
#
# A step that fails does not stop the others; the exit code is 0 if all succeeded. Each is stopped at its limit (seconds,
# below). Needs nvcc 13, g++ and xz; neither Node nor CMake (pack: Node). $OUT (default build/gpu): gpu.log with
# everything that was printed, step_bench.json, peers.json, results.bin.gz.*; standard output has the summary alone.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
objects=$root/build/gpu/obj
binaries=$root/build/gpu
packed=$root/build/gpu_cases/cases.bin.xz
scratch=$root/build/gpu_scratch
cases=$scratch/cases.bin
OUT=${OUT:-$root/build/gpu}
mkdir -p "$objects" "$scratch" "$OUT"
log=$OUT/gpu.log
: >"$log"

build_limit=400 test_limit=120 sanitizer_limit=85 sanitizer_shape_limit=45 bench_limit=240 peers_limit=330
# Of the sanitizers, which slow kernels down a hundredfold: every so manieth case of an op, and none larger (bytes). Rows of
# the table fit one block, so a shape of the bench whose rows need a cluster comes besides.
sample_every=12 sample_largest=800000 sample_shape=151936x16
jobs=${JOBS:-$(nproc)}

say() { printf '%s\n' "$*" | tee -a "$log"; }
logged() { "$@" >>"$log" 2>&1; }
# What this step has printed.
step_log() { tail -n "+$step_begin" "$log"; }
# The last of it that matches, on standard output.
show() { step_log | grep -E "$1" | tail -n "$2"; }
# The last line of the last command that matches.
last() { tail -n "+$command_begin" "$log" | grep -E "$1" | tail -n 1; }
# Runs a command that may not take longer; says so when it did.
limited() {
  local seconds=$1 code
  shift
  printf '\n$ %s\n' "$*" >>"$log"
  command_begin=$(($(wc -l <"$log") + 1))
  logged timeout --kill-after=10 "$seconds" "$@"
  code=$?
  [ $code -eq 124 ] || [ $code -eq 137 ] && say "  stopped after $seconds s: $(tail -n 1 "$log")"
  return $code
}

architecture() {
  if [ -n "${ARCH:-}" ]; then
    echo "$ARCH"
  else
    nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .
  fi
}

machine() {
  say "$(date -u +%Y-%m-%dT%H:%MZ), $(git rev-parse --short HEAD 2>/dev/null || echo 'no git')"
  local fields=name,driver_version,memory.total,compute_cap
  say "$(nvidia-smi --query-gpu=$fields --format=csv,noheader 2>/dev/null || echo 'no GPU: nvidia-smi does not run')"
  say "$(nvcc --version 2>/dev/null | grep release || echo 'no nvcc on PATH'), $(g++ --version 2>/dev/null | head -n 1)"
  say "$(python3 -c 'import torch; print("PyTorch", torch.__version__)' 2>/dev/null || echo 'no PyTorch')"
}

pack() {
  mkdir -p "$(dirname "$packed")"
  [ build/Release/turnwise.node -nt native/ops.h ] && [ build/Release/turnwise.node -nt native/vocabulary.h ] \
    || { say "  the add-on is older than native/ops.h: npm run build:native" && return 1; }
  sha256sum native/ops.h native/vocabulary.h >"$packed.ops"
  limited 120 node scripts/gpu_cases.mjs export "$cases" || return 1
  xz -T0 -6 -c "$cases" >"$packed" && say "  $packed: $(wc -c <"$packed") bytes"
}

# ---------------------------------------------------------------------------------------------------- build

# nvcc's flags are those of cmake/cuda.cmake, the host's those of CMakeLists.txt that change numbers.
nvcc_flags() {
  sed -n '/^set(TURNWISE_NVCC_FLAGS/,/)/p' cmake/cuda.cmake | sed 's/^set(TURNWISE_NVCC_FLAGS//; s/)$//; s/#.*//'
}
host_flags() { grep -oE -- '-ffp-contract=[a-z]+|-fno-math-errno' CMakeLists.txt | sort -u; }

# An object is up to date when its source, all headers and the flags are what it was made from.
compile() {
  local source=$1 object stamp
  object=$objects/${source//\//-}.o
  stamp="$common $(sha256sum <"$source")"
  [ -f "$object" ] && [ "$(cat "$object.stamp" 2>/dev/null)" = "$stamp" ] && return 0
  rm -f "$object.stamp"
  case $source in
    # shellcheck disable=SC2086
    *.cu) nvcc -std=c++17 $nvcc_words -lineinfo -arch="sm_$arch" -I. -Inative -Icuda -DTURNWISE_CUDA -c "$source" -o "$object" ;;
    # shellcheck disable=SC2086
    *) g++ -std=c++17 -O3 $host_words -pthread -DTURNWISE_CUDA -c "$source" -o "$object" ;;
  esac >"$object.log" 2>&1 || { printf 'FAILED %s\n' "$source" && cat "$object.log" && return 1; }
  cat "$object.log"
  printf '%s' "$stamp" >"$object.stamp"
}

build() {
  arch=$(architecture)
  [ -n "$arch" ] || arch=90
  nvcc_words=$(nvcc_flags | tr '\n' ' ') host_words=$(host_flags | tr '\n' ' ')
  common=$(find cuda native test/cuda bench/cuda -name '*.h' -o -name '*.cuh' | sort | xargs cat | sha256sum)
  common="$common $arch $nvcc_words $host_words"
  export -f compile
  export objects arch nvcc_words host_words common
  local library programs=(test/cuda/run_cases.cpp bench/cuda/step_bench.cu)
  library=$(find cuda -name '*.cu'; find native -name '*.cpp' -not -path 'native/binding/*')
  say "  sm_$arch: nvcc $nvcc_words, g++ -O3 $host_words"
  # shellcheck disable=SC2016
  printf '%s\n' "$library" "${programs[@]}" | sort | limited $build_limit xargs -P "$jobs" -I{} bash -c 'compile "$1"' _ {}
  local code=$? failed
  failed=$(step_log | grep -c '^FAILED ')
  show '^FAILED |error:' 20
  say "  registers: at most $(step_log | grep -oE 'Used [0-9]+ registers' | sort -k2 -n | tail -n 1 | grep -oE '[0-9]+')" \
    "(of what was compiled anew); kernels that spill: $(step_log | grep -cE '[1-9][0-9]* bytes spill')"
  # shellcheck disable=SC2046
  local objects_of_library=($(sed "s|/|-|g; s|^|$objects/|; s|$|.o|" <<<"$library"))
  for program in "${programs[@]}"; do
    local name
    name=$(basename "${program%.*}")
    limited 60 nvcc -arch="sm_$arch" -cudart static "$objects/${program//\//-}.o" "${objects_of_library[@]}" -Xcompiler=-pthread \
      -o "$binaries/$name" || { code=1 && say "  $name does not link: $(tail -n 1 "$log")"; }
  done
  return $((code != 0 || failed != 0))
}

# ---------------------------------------------------------------------------------------------------- run

unpack_cases() {
  sha256sum --check --status "$packed.ops" 2>>"$log" || { say "  the cases were packed for another native/ops.h, or not at all" && return 1; }
  [ "$packed" -nt "$cases" ] && xz -dc "$packed" >"$cases"
  [ -s "$cases" ] || { say "  no $packed: run \`scripts/gpu.sh pack\` where Node is, and take build/gpu_cases along" && return 1; }
}

test_cases() {
  unpack_cases || return 1
  local code=0
  limited $test_limit "$binaries/run_cases" "$cases" --trace --results "$scratch/results.bin" || code=1
  limited $test_limit "$binaries/run_cases" "$cases" --device --trace --results "$scratch/results_device.bin" || code=1
  show '^FAILED|cases passed|^no CUDA' 20
  [ -s "$scratch/results.bin" ] || return 1
  logged cmp "$scratch/results.bin" "$scratch/results_device.bin" \
    || { code=1 && say "  arrays on the device give other results than on the host"; }
  rm -f "$OUT"/results.bin.gz.*
  gzip -1 -c "$scratch/results.bin" | split -b 15000000 -d - "$OUT/results.bin.gz."
  say "  $(cat "$OUT"/results.bin.gz.* | wc -c) bytes of results in $(ls "$OUT"/results.bin.gz.* | wc -l) parts"
  if command -v node >/dev/null && [ -d node_modules ]; then
    limited 300 node scripts/gpu_cases.mjs compare "$scratch/results.bin" || code=1
    show ' passed, .* not run$' 10
  else
    say "  values are not compared yet: node scripts/gpu_cases.mjs compare \$OUT/results.bin.gz.*"
  fi
  return $code
}

sanitize() {
  unpack_cases || return 1
  command -v compute-sanitizer >/dev/null || { say "  no compute-sanitizer on PATH" && return 1; }
  local tool code=0 verdict='(ERROR|RACECHECK) SUMMARY|Device not supported'
  for tool in memcheck racecheck initcheck synccheck; do
    limited $sanitizer_limit compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 \
      "$binaries/run_cases" "$cases" --every $sample_every --largest $sample_largest --trace || code=1
    say "  $tool: $(last "$verdict" | sed 's/=* *//'); $(last 'cases passed')"
    limited $sanitizer_shape_limit compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 \
      "$binaries/step_bench" "$scratch/sanitized.json" --repeats 1 --shape $sample_shape || code=1
    say "  $tool, $sample_shape: $(last "$verdict" | sed 's/=* *//')"
  done
  return $code
}

bench() {
  limited $bench_limit "$binaries/step_bench" "$OUT/step_bench.json"
  local code=$?
  show '^no CUDA|GB/s \(median|copy rate:|min us| 8192 bf16|WRONG|left out|call, host|^ {21} .*(token|A2TGPO)' 80
  return $code
}

peers() {
  limited $peers_limit python3 -uB bench/cuda/peers.py "$OUT/peers.json" --seconds $((peers_limit - 90))
  local code=$?
  show '^peers.py:|copy rate:.*best|peer  | 8192 bf16|WRONG|left out' 60
  return $code
}

# ---------------------------------------------------------------------------------------------------- steps

summary=()
failed=0
step_begin=1 command_begin=1
step() {
  local name=$1 start=$SECONDS outcome=ok
  step_begin=$(($(wc -l <"$log") + 1))
  say "-- $name"
  "$2" || { outcome=FAILED && failed=1; }
  summary+=("$(printf '%-9s %-6s %4d s' "$name" "$outcome" $((SECONDS - start)))")
}

machine
[ $# -gt 0 ] || set -- build test sanitize bench peers
for name in "$@"; do
  case $name in
    pack | build | sanitize | bench | peers) step "$name" "$name" ;;
    test) step test test_cases ;;
    *) say "no step $name: pack build test sanitize bench peers" && exit 2 ;;
  esac
done
say "--"
for line in "${summary[@]}"; do say "$line"; done
exit $failed
