#!/usr/bin/env bash
# The state's way from and to its branch, for runners whose disk dies with them.
#
#   state.sh sync BRANCH             before an apply: work on the branch as it is now
#   state.sh save BRANCH FOLDER...   after it, however it ended: commit what was recorded, and push it
#
# A FOLDER may be several, one a line; what is empty is none. The first one is the state's; its .journal is saved with it, though git ignores it, while anything in it is open.
# Environment: GIT_TOKEN (and GIT_USER) to push with, else what the clone uses; RUN, which names the branch for what
# cannot be pushed to BRANCH. Everything arrives as an argument or a variable; no text is ever part of a script.
set -euo pipefail

readonly TRIES=5

complain() { printf '%s\n' "$@" >&2; }

remote_url() {
  local url
  url="$(git remote get-url origin)"
  if [[ -n "${GIT_TOKEN:-}" && "$url" =~ ^(https?://)([^/@]*@)?(.*)$ ]]; then
    url="${BASH_REMATCH[1]}${BASH_REMATCH[3]}"
  fi
  printf '%s\n' "$url"
}

# The token goes in by the environment: a command line can be read by every process. The empty value before it takes
# away a header that the clone may have been given: two of them are refused. It counts because no address is more exact.
remote_git() {
  local header
  if [[ -z "${GIT_TOKEN:-}" || ! "$remote" =~ ^https?:// ]]; then
    git "$@"
    return
  fi
  header="$(printf '%s:%s' "${GIT_USER:-x-access-token}" "$GIT_TOKEN" | base64 | tr -d '\n')"
  GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0="http.$remote.extraHeader" GIT_CONFIG_VALUE_0="" \
    GIT_CONFIG_KEY_1="http.$remote.extraHeader" GIT_CONFIG_VALUE_1="Authorization: Basic $header" git "$@"
}

fetch_tip() {
  remote_git fetch --quiet "$remote" "refs/heads/$branch" && git rev-parse FETCH_HEAD
}

sync() {
  local tip
  tip="$(fetch_tip)"
  git checkout --quiet --detach "$tip"
}

# The folders as a commit has them: what must not have changed under us.
recorded() {
  local folder
  for folder in "${folders[@]}"; do
    git rev-parse --quiet --verify "$1:./$folder" || printf 'none\n'
  done
}

stage() {
  local folder="$1"
  if [[ -d "$folder" ]]; then
    git add --all -- ":(literal)$folder"
  elif [[ -n "$(git ls-files -- ":(literal)$folder")" ]]; then
    complain "The folder $folder is gone. That is not saved: nothing but a person may remove a state."
    return 1
  fi
  if [[ "$folder" == "${folders[0]}" && -n "$(ls "$folder/.journal" 2>/dev/null)" ]]; then
    # Without what is hidden: a run that was killed leaves files there that are no entry, or not any more.
    git add --all --force -- ":(literal)$folder/.journal" ":(exclude,glob)**/.journal/.*"
  fi
}

# A folder in which something lies in clear is left out; the others are saved all the same.
stage_guarded() {
  local folder="$1"
  stage "$folder" || return 1
  if ! git diff --cached --name-only --relative --diff-filter=d -z -- ":(literal)$folder" |
    xargs -0 -r provisioner guard --; then
    git reset --quiet -- ":(literal)$folder"
    complain "The folder $folder is not saved: it holds a secret in clear."
    return 1
  fi
}

# Fails where there is no such commit. Called where `set -e` does not count, so each step says what becomes of it.
commit_onto() {
  local folder
  git reset --quiet --mixed "$1" || return 1 # the index is that commit's, the files stay ours
  refused=0
  for folder in "${folders[@]}"; do
    stage_guarded "$folder" || refused=1
  done
  git diff --cached --quiet || git commit --quiet --no-verify --message "Record what provisioner applied [skip ci]"
}

# To a branch of its own, where nothing is lost.
rescue() {
  local name="provisioner-state-${RUN:-unknown}"
  if commit_onto "$base" && remote_git push --quiet "$remote" "HEAD:refs/heads/$name"; then
    complain "$1" "It is on the branch $name instead: bring it to $branch before the next apply."
  else
    complain "$1" "It could not be pushed to a branch $name either. Keep this runner's disk."
  fi
  return 1
}

save() {
  local base tip
  ((${#folders[@]})) || return 0
  base="$(git rev-parse HEAD)"
  for ((attempt = 1; attempt <= TRIES; attempt++)); do
    tip="$(fetch_tip)" || continue
    if [[ "$(recorded "$base")" != "$(recorded "$tip")" ]]; then
      rescue "The state is not saved on $branch: somebody else changed it there meanwhile."
      return
    fi
    commit_onto "$tip" || break
    if [[ "$(git rev-parse HEAD)" == "$tip" ]] || remote_git push --quiet "$remote" "HEAD:refs/heads/$branch"; then
      return "$refused"
    fi
  done
  rescue "The state is not saved on $branch: it could not be pushed."
}

refused=0 # whether a folder was left out
export GIT_AUTHOR_NAME="${GIT_AUTHOR_NAME:-provisioner}" GIT_AUTHOR_EMAIL="${GIT_AUTHOR_EMAIL:-provisioner@users.noreply.invalid}"
export GIT_COMMITTER_NAME="$GIT_AUTHOR_NAME" GIT_COMMITTER_EMAIL="$GIT_AUTHOR_EMAIL" GIT_TERMINAL_PROMPT=0

task="${1-}"
branch="${2-}"
folders=()
if (($# > 2)); then
  mapfile -t folders < <(printf '%s\n' "${@:3}" | sed '/^$/d')
fi
if [[ -z "$branch" || ("$task" == save && $# -lt 3) ]]; then
  complain "Usage: state.sh sync BRANCH, or state.sh save BRANCH FOLDER..."
  exit 1
fi
remote="$(remote_url)"
case "$task" in
sync | save) "$task" ;;
*)
  complain "state.sh does not know the task."
  exit 1
  ;;
esac
