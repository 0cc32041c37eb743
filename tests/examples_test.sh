#!/bin/bash
# examples_test.sh <build>: runs the examples of a build, briefly: on the data they make themselves; with what a user may get
# wrong; and on the real files under BRAID_DATA (default ../shared/data beside the repository), each skipped by name where its
# files are not there. Ends with "N passed, N failed, N skipped".
here=$(cd "$(dirname "$0")" && pwd)
programs=$(cd "$1/python_free_examples" && pwd) || exit 1
data=${BRAID_DATA:-$here/../../shared/data}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
skipped=0

# check <sentence> <command...>: one case; what the command printed is shown when it fails.
check() {
  local sentence=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "passed: examples: $sentence"
  else
    failed=$((failed + 1))
    echo "failed: examples: $sentence"
    tail -n 40 "$work/log"
  fi
}

# runs <outputs> <program> <options...>: it ends with status 0, after a summary, and its last line is a well-formed RESULT with
# an accuracy and a majority for each output ("" for the only one).
runs() {
  local outputs=$1 program=$2 prefix value
  shift 2
  "$programs/$program" "$@" >"$work/out" 2>"$work/err" || { cat "$work/err"; return 1; }
  cat "$work/out"
  grep -q '^Total params: ' "$work/out" || { echo "it printed no summary"; return 1; }
  tail -n 1 "$work/out" | grep -qE '^RESULT( [a-z_]+=[0-9]+\.[0-9]{4})+$' || { echo "its last line is no RESULT"; return 1; }
  for prefix in $outputs; do
    for value in accuracy majority; do
      [ -n "$(result "${prefix#.}$value")" ] || { echo "the RESULT names no ${prefix#.}$value"; return 1; }
    done
  done
}

# result <key>: its value in the RESULT line of the last run.
result() { tail -n 1 "$work/out" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# holds <condition of awk>: says it if not.
holds() { awk "BEGIN { exit !($1) }" || { echo "not so: $1"; return 1; }; }

# learns <outputs> <program> <options...>: runs, and does better than always answering the majority, for each output.
learns() {
  local prefix
  runs "$@" || return 1
  for prefix in $1; do
    holds "$(result "${prefix#.}accuracy") > $(result "${prefix#.}majority")" || return 1
  done
}

# refuses <status> <text> <program> <options...>: ends with this status and one line on standard error that has the text.
refuses() {
  local status=$1 text=$2 program=$3 got
  shift 3
  "$programs/$program" "$@" 2>&1 >"$work/out" | grep -v '^braid: no GPU answers' >"$work/err"
  got=${PIPESTATUS[0]}
  cat "$work/err"
  [ "$got" -eq "$status" ] || { echo "it ended with status $got, not $status"; return 1; }
  [ "$(wc -l <"$work/err")" -eq 1 ] || { echo "its error is not one line"; return 1; }
  grep -qF -- "$text" "$work/err" || { echo "its error does not say: $text"; return 1; }
}

help_names_the_data() { "$programs/$1" --help | tee "$work/out" && tr -s ' \n' ' ' <"$work/out" | grep -qF -- "$2"; }

interrupted() {
  local process tries
  # What an earlier program printed must not be taken for this one's: a signal before it has begun would meet this script's own
  # copy, which would clear up and end.
  : >"$work/out"
  "$programs/06_speakers" --epochs 1000000 >"$work/out" 2>"$work/err" &
  process=$!
  for ((tries = 0; tries < 600; ++tries)); do
    grep -q '^Epoch 2/' "$work/out" && break
    sleep 0.1
  done
  kill -INT "$process"
  wait "$process" || return 1
  cat "$work/out" "$work/err"
  tail -n 1 "$work/out" | grep -q '^RESULT '
}

broken_messages() {
  printf 'ham\tall is well\nspam\tWIN now\nneither of both\n' >"$work/broken.tsv"
  refuses 1 'line 3' 01_two_inputs --data "$work/broken.tsv"
}

# real <sentence> <path under the data> <command...>: a case that needs real files.
real() {
  local sentence=$1 path=$2
  shift 2
  if [ -e "$data/$path" ]; then
    check "$sentence" "$@"
  else
    skipped=$((skipped + 1))
    echo "skipped: examples: $sentence: there is no $data/$path"
  fi
}

# "." stands for the one output of a model, whose figures have no prefix.
pages="image_class_ text_class_"
reviews="recommended_ rating_ department_"
check "01_two_inputs learns from its own data" learns . 01_two_inputs --limit 1500 --epochs 4
check "02_sequence_and_features learns from its own data" learns . 02_sequence_and_features --limit 2500 --epochs 3
check "03_two_outputs learns from its own data" learns "$pages" 03_two_outputs --limit 1500 --epochs 4
check "04_reviews learns from its own data" learns "$reviews" 04_reviews --limit 2500 --epochs 3
check "05_digits learns from its own data" learns . 05_digits --limit 1000 --epochs 3
check "06_speakers learns from its own data" learns . 06_speakers --limit 150 --epochs 10
check "Ctrl-C ends the training, not the program" interrupted

check "an unknown option is one line" refuses 2 '--epoch' 01_two_inputs --epoch 3
check "a number out of range is one line" refuses 2 '--epochs' 04_reviews --epochs 0
check "an unknown device is one line" refuses 1 'gpu' 05_digits --device gpu
check "data that is not there is one line" refuses 1 '/nowhere' 06_speakers --data /nowhere
check "a folder without the data is one line" refuses 1 'holds no train-' 05_digits --data "$work"
check "a broken file is one line" broken_messages
check "--help says what --data names" help_names_the_data 06_speakers JapaneseVowels_TRAIN.ts

# The readers: their rows have the classes in the proportions that are known of these data.
messages() { learns . 01_two_inputs --data "$data/sms_spam" --limit 1000 --epochs 5 && holds "$(result majority) > 0.85 && $(result majority) < 0.90"; }
snippets() { runs . 02_sequence_and_features --data "$data/rt_polarity" --limit 300 --epochs 1 && holds "$(result majority) < 0.52"; }
catalogue() { learns "image_class_" 03_two_outputs --data "$data" --limit 2000 --epochs 1 && holds "$(result text_class_majority) > 0.42 && $(result text_class_majority) < 0.46"; }
clothes() {
  runs "$reviews" 04_reviews --data "$data/womens_reviews" --limit 300 --epochs 1 || return 1
  holds "$(result recommended_majority) > 0.80 && $(result recommended_majority) < 0.84" &&
    holds "$(result rating_majority) > 0.53 && $(result rating_majority) < 0.57" &&
    holds "$(result department_majority) > 0.42 && $(result department_majority) < 0.46"
}
digits() { learns . 05_digits --data "$data/mnist" --limit 2000 --epochs 2 && holds "$(result majority) == 0.1135"; }
speakers() { learns . 06_speakers --data "$data/japanese_vowels" --epochs 10 && holds "$(result majority) == 0.2378"; }
real "01_two_inputs reads the SMS spam collection" sms_spam messages
real "02_sequence_and_features reads the film snippets" rt_polarity snippets
real "03_two_outputs reads MNIST and the clothing reviews" mnist catalogue
real "04_reviews reads the clothing reviews" womens_reviews clothes
real "05_digits reads MNIST" mnist digits
real "06_speakers reads the Japanese Vowels" japanese_vowels speakers
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
