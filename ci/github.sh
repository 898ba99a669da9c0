#!/usr/bin/env bash
# What action.yml runs: a plan with one comment, an apply of what was reviewed, drift with one issue.
#
# Everything arrives in variables: the action's inputs as INPUT_*, the rest as GitHub's runner sets it. What came from
# elsewhere (branches, titles, apps' names) is only ever data: an argument in quotes, or a string that jq writes.
set -euo pipefail
shopt -s inherit_errexit # else what fails in $(…) goes unnoticed

readonly BODY_LIMIT=65000 # a comment holds 65,536 characters; the rest is for our own lines

complain() { printf '%s\n' "$@" >&2; }

# Nothing that is printed meanwhile can be a command to the runner, whatever an app is called. Both streams as one:
# the runner reads commands from either, and in no certain order.
inert() {
  local word status=0
  word="$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')"
  printf '::stop-commands::%s\n' "$word"
  "$@" 2>&1 || status=$?
  printf '\n::%s::\n' "$word"
  return "$status"
}

output() { printf '%s=%s\n' "$1" "$2" >>"${GITHUB_OUTPUT:-/dev/null}"; }

summarize() { cat -- "$1" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"; }

# api METHOD PATH [BODY-FILE]: the answer on standard output. The token is on no command line.
api() {
  local options=(--silent --show-error --fail-with-body --request "$1" --max-time 60)
  if [[ "$1" == GET ]]; then
    options+=(--retry 3) # a POST that is sent again could make a second comment
  fi
  if [[ -n "${3:-}" ]]; then
    options+=(--data-binary "@$3" --header "Content-Type: application/json")
  fi
  curl "${options[@]}" --header "Accept: application/vnd.github+json" \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    "${GITHUB_API_URL:-https://api.github.com}/repos/$GITHUB_REPOSITORY/$2"
}

# first PATH FILTER: the first value that the filter finds on the pages of a list; nothing where there is none.
first() {
  local page=1 found
  while :; do
    api GET "$1&per_page=100&page=$page" >"$scratch/page.json" || return 1
    found="$(jq -r --arg author "$INPUT_AUTHOR" --arg marker "$marker" "[.[] | $2][0] // empty" "$scratch/page.json")" || return 1
    if [[ -n "$found" || "$(jq length "$scratch/page.json")" -lt 100 ]]; then
      printf '%s' "$found"
      return
    fi
    page=$((page + 1))
  done
}

# shellcheck disable=SC2016  # jq's variables
# Whoever may comment can copy our marker, so it counts only where the author is ours.
readonly OURS='select(.user.login == $author and ((.body // "") | startswith($marker)))'

mark() { marker="<!-- provisioner $1 $(printf '%s\n' "$INPUT_WORKING_DIRECTORY" "$INPUT_FILES" | sha256sum | cut -c1-16) "; }

# post PATH FIELDS-FILE and patch PATH FIELDS-FILE, where the answer does not matter.
post() { api POST "$1" "$2" >/dev/null; }
patch() { api PATCH "$1" "$2" >/dev/null; }

pull_request() { jq -r '.pull_request.number // empty' "$GITHUB_EVENT_PATH"; }

has_key() { [[ -n "${METEROID_API_KEY:-}${METEROID_API_KEY_FILE:-}" ]]; }

# plan_to FOLDER [OPTION...]: what there is to be known about a plan, into files; its exit status.
plan_to() {
  local folder="$1" status=0
  shift
  provisioner plan --no-color --markdown="$folder/plan.md" "${manifest[@]}" "${allowed[@]}" "$@" \
    >"$folder/plan.txt" 2>"$folder/plan.err" || status=$?
  return "$status"
}

show() { cat -- "$scratch/plan.txt" "$scratch/plan.err"; }

digest_in() { if [[ -f "$1" ]]; then jq -r .digest "$1"; fi; }

plan() {
  local status=0 digest="" options=(--no-refresh)
  if has_key; then
    options=(--out="$scratch/plan.json")
  else
    complain "There is no METEROID_API_KEY here, as on a pull request from a fork: the plan is made without asking the API."
  fi
  plan_to "$scratch" "${options[@]}" || status=$?
  inert show
  if [[ $status -eq 0 ]]; then
    digest="$(digest_in "$scratch/plan.json")"
  fi
  output digest "$digest"
  if [[ "$INPUT_COMMENT" == true ]] && has_key && [[ -n "$(pull_request)" ]]; then
    comment "${digest:-none}"
  fi
  return "$status"
}

# comment DIGEST: make the comment on the pull request, or put the new plan in its place.
comment() {
  local number id commit run
  number="$(pull_request)"
  commit="$(jq -r '.pull_request.head.sha // "" | ascii_downcase | gsub("[^0-9a-f]"; "")' "$GITHUB_EVENT_PATH")"
  run="${GITHUB_SERVER_URL:-https://github.com}/$GITHUB_REPOSITORY/actions/runs/${GITHUB_RUN_ID:-}"
  mark plan
  if [[ ! -f "$scratch/plan.md" ]]; then
    printf '### provisioner plan: there is none\n\nThe [log](%s) says why.\n' "$run" >"$scratch/plan.md"
  fi
  # A plan may fill a comment to its end; then it is cut once more, and what it had open is closed.
  jq -n --rawfile plan "$scratch/plan.md" --arg head "$marker$1 -->" --arg digest "$1" --arg commit "$commit" \
    --arg run "$run" --argjson limit "$BODY_LIMIT" '
    def fence: capture("<summary>Details</summary>\n\n(?<fence>`{3,})text\n").fence;
    $plan
    | if length > $limit
      then .[:$limit - 1000] + "\n… cut here: the whole plan is in the log.\n" + fence + "\n\n</details>\n"
      else . end
    | {body: ($head + "\n" + . + "\nFor " + $commit + ", by [this run](" + $run + ")."
        + (if $digest == "none" then " It cannot be applied."
           else " Once merged, exactly this is applied, or nothing:\n\n`" + $digest + "`" end) + "\n")}
  ' >"$scratch/comment.json"
  id="$(first "issues/$number/comments?" "$OURS | .id")"
  if [[ -n "$id" ]]; then
    patch "issues/comments/$id" "$scratch/comment.json"
  else
    post "issues/$number/comments" "$scratch/comment.json"
  fi
}

# The digest in our comment on the pull request that this commit merged; nothing where there is none.
reviewed() {
  local number
  number="$(api GET "commits/$GITHUB_SHA/pulls?per_page=100" | jq -r --arg sha "$GITHUB_SHA" \
    '[.[] | select(.merged_at != null and .merge_commit_sha == $sha) | .number][0] // empty')"
  if [[ -n "$number" ]]; then
    mark plan
    first "issues/$number/comments?" "$OURS | .body[(\$marker | length):] | capture(\"^(?<digest>sha256:[0-9a-f]{64}) \").digest"
  fi
}

refuse() {
  inert show
  summarize "$scratch/plan.md"
  complain "$1" "Nothing was applied. What there is to do now has the digest $2" \
    "If that is right, run this workflow by hand with it: that is its review."
  # shellcheck disable=SC2016  # the backticks are markdown
  printf '\n%s\n\nNothing was applied. If this plan is right, run the workflow by hand with its digest:\n\n`%s`\n' \
    "$1" "$2" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
  return 1
}

apply() {
  local status=0 planned wanted="$INPUT_DIGEST"
  if [[ "${GITHUB_REF_TYPE:-branch}" != branch ]]; then
    complain "An apply records what it did on a branch, and this run is for none."
    return 1
  fi
  GIT_TOKEN="$token" bash "$here/state.sh" sync "$GITHUB_REF_NAME"
  GITHUB_STEP_SUMMARY="" GITHUB_OUTPUT="" plan_to "$scratch" --detailed-exitcode --out="$scratch/plan.json" || status=$?
  case "$status" in
  0)
    inert show
    output changes false
    return
    ;;
  2) ;;
  *)
    inert show
    return "$status"
    ;;
  esac
  planned="$(digest_in "$scratch/plan.json")"
  output changes true # once more where it was applied; where it is refused nobody else says it
  output digest "$planned"
  case "$wanted" in
  reviewed)
    wanted="$(reviewed)"
    if [[ -z "$wanted" ]]; then
      refuse "No plan that was made for a pull request stands behind this commit." "$planned" || return 1
    fi
    ;;
  any) wanted="$planned" ;;
  esac
  if [[ "$wanted" != "$planned" ]]; then
    refuse "The plan is not the one that was reviewed." "$planned" || return 1
  fi
  inert provisioner apply --no-color --digest="$wanted" "${manifest[@]}" "${allowed[@]}"
}

drift() {
  local status=0 number
  provisioner drift --no-color --detailed-exitcode "${manifest[@]}" >"$scratch/plan.txt" 2>"$scratch/plan.err" || status=$?
  inert show
  if [[ $status -ne 0 && $status -ne 2 ]]; then
    return "$status"
  fi
  mark drift
  if [[ "$INPUT_COMMENT" == true ]]; then
    number="$(first "issues?state=open" "select(.pull_request == null) | $OURS | .number")"
  else
    number=""
  fi
  if [[ $status -eq 0 ]]; then
    output drift false
    [[ -z "$number" ]] || close "$number"
    return
  fi
  output drift true
  # A fence that is longer than any in the text, so that names in it stay text.
  jq -n --rawfile text "$scratch/plan.txt" --arg head "$marker-->" --argjson limit "$BODY_LIMIT" '
    ("`" * ([3, ($text | [scan("`+") | length + 1] | max // 3)] | max)) as $fence
    | {title: "OAuth apps were changed outside of provisioner",
       body: ($head + "\n" + $fence + "text\n" + $text[:$limit] + "\n" + $fence
         + "\n\nThis is kept up to date, and closed when nothing is different any more.\n")}
  ' >"$scratch/issue.json"
  jq -r .body "$scratch/issue.json" >"$scratch/issue.md"
  summarize "$scratch/issue.md"
  if [[ "$INPUT_COMMENT" != true ]]; then
    return
  elif [[ -n "$number" ]]; then
    jq '{body}' "$scratch/issue.json" >"$scratch/body.json"
    patch "issues/$number" "$scratch/body.json"
  else
    post issues "$scratch/issue.json"
  fi
}

close() {
  jq -n '{body: "Nothing is different any more."}' >"$scratch/body.json"
  post "issues/$1/comments" "$scratch/body.json"
  jq -n '{state: "closed", state_reason: "completed"}' >"$scratch/body.json"
  patch "issues/$1" "$scratch/body.json"
}

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
token="$INPUT_TOKEN"
unset INPUT_TOKEN # for this script alone, not for what it starts
scratch="$(mktemp -d "${RUNNER_TEMP:-/tmp}/provisioner.XXXXXX")"
trap 'rm -rf -- "$scratch"' EXIT
cd -- "$INPUT_WORKING_DIRECTORY"

manifest=()
while IFS= read -r line; do
  [[ -z "$line" ]] || manifest+=("--file=$line")
done <<<"$INPUT_FILES"
allowed=()
while IFS= read -r word; do
  [[ -z "$word" ]] || allowed+=("--allow=$word")
done < <(tr -s '[:space:]' '\n' <<<"$INPUT_ALLOW")

case "$INPUT_COMMAND" in
plan | apply | drift) "$INPUT_COMMAND" ;;
*)
  complain "The action's command is plan, apply or drift."
  exit 1
  ;;
esac
