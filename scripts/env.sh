#!/usr/bin/env bash
# Make the environments that the Makefile's commands run in; quick when there is nothing to do.
#   scripts/env.sh app            .venv with the program
#   scripts/env.sh test           .venv with the program and what its tests need
#   scripts/env.sh label-studio   .venv-ls with Label Studio, apart: its pins and ours do not go together
#   scripts/env.sh system         Debian packages of the tests
#   scripts/env.sh renew          take today's releases into both and write their versions down, to be tested
# Both get the versions that scripts/constraints names: what passed the tests is what is installed, whatever was released
# since. An environment is finished when its stamp says so. One that was interrupted is made anew; a finished one whose
# setup.cfg or constraints have changed is brought up to date in place, and so is one made by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LABEL_STUDIO="label-studio==1.23.2"
CONSTRAINTS=scripts/constraints
PYTHONS=(${PYTHON:-python3.11 /usr/bin/python3.11 python3.12 python3})

say() { printf 'labelqueue: %s\n' "$*" >&2; }
fail() { say "$1"; shift; for line in "$@"; do printf '            %s\n' "$line" >&2; done; exit 1; }
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    say "installing Debian packages: $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        </dev/null >.cache/apt.log 2>&1 || fail "apt-get could not install $*; the end of .cache/apt.log:" "$(tail -n 5 .cache/apt.log)" \
        "Is there a network? Then try again, or install them by hand: apt-get install $*"
}

# Print the first Python that is 3.11 or newer; with "venv" as argument, one that can also make environments.
find_python() {
    local probe='import sys; assert sys.version_info >= (3, 11)' python
    [ "${1:-}" = venv ] && probe+='; import venv, ensurepip'
    for python in "${PYTHONS[@]}"; do
        if command -v "$python" >/dev/null && "$python" -c "$probe" >/dev/null 2>&1; then
            command -v "$python"
            return
        fi
    done
    return 1
}

need_python() {
    find_python venv >/dev/null && return
    if can_install && [ -z "${PYTHON:-}" ]; then
        apt_install python3.11 python3.11-venv
        find_python venv >/dev/null && return
    fi
    local tried="${PYTHONS[*]}"
    if find_python >/dev/null; then
        fail "$(find_python) has no venv module, which Debian packs apart." "To fix it: sudo apt-get install python3.11-venv"
    fi
    fail "no Python 3.11 or newer (looked for: ${tried// /, })." \
        "To fix it: sudo apt-get install python3.11 python3.11-venv, or say where it is: make PYTHON=/path/to/python3.11 ..."
}

need_space() { # folder gigabytes
    local free
    free=$(df --output=avail -BG . | tail -n 1 | tr -dc 0-9)
    [ "$free" -ge "$2" ] || fail "$1 needs about $2 GB of disk, $free GB are free here." "To fix it: make room and run the command again."
}

# Run pip quietly into a log, with a sign of life: the first set-up downloads for minutes.
pip_install() { # folder arguments...
    local folder=$1 log=".cache/pip-${1#.}.log" begin=$SECONDS
    shift
    "$folder/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" \
        </dev/null >"$log" 2>&1 &
    local pip=$! beat=0
    trap 'kill "$pip" 2>/dev/null; say "interrupted; the next run makes $PWD/'"$folder"' anew"; exit 130' INT TERM
    while kill -0 "$pip" 2>/dev/null; do
        sleep 0.2
        beat=$((beat + 1))
        if [ $((beat % 150)) = 0 ]; then
            say "... $folder: $((SECONDS - begin)) s, $(du -sh "$folder" 2>/dev/null | cut -f1)B so far"
        fi
    done
    local rc=0
    wait "$pip" || rc=$?
    trap - INT TERM
    [ "$rc" = 0 ] && return
    if grep -qiE 'NewConnectionError|Temporary failure in name resolution|ConnectTimeout|Network is unreachable|ReadTimeout|ProxyError' "$log"; then
        fail "pip reached no package index; the log is $log." \
            "To fix it: connect the machine, or give pip a mirror (PIP_INDEX_URL=...) or a folder of wheels (PIP_FIND_LINKS=... PIP_NO_INDEX=1)." \
            "Then run the same command again."
    fi
    fail "pip failed; the end of $log:" "$(tail -n 8 "$log")"
}

broken() { # folder distribution: why it cannot be used, or nothing
    if [ -e "$1/.unfinished" ]; then
        echo "was left half made"
    elif [ ! -x "$1/bin/python" ] || ! "$1/bin/python" -c 'import pip' >/dev/null 2>&1; then
        echo "has no working Python"
    elif [ -e "$1/.stamp" ] && ! "$1/bin/python" -c "import importlib.util as u; assert u.find_spec('$2')" >/dev/null 2>&1; then
        echo "has lost $2"
    fi
}

environment() { # folder stamp package gigabytes words pip-arguments...
    local folder=$1 stamp=$2 package=$3 gigabytes=$4 words=$5 discarded=".cache/${1#.}.discarded" why
    shift 5
    mkdir -p .cache
    exec 9>".cache/${folder#.}.lock" # two commands at once: the second waits for the first
    flock 9
    rm -rf "$discarded"
    if [ -d "$folder" ]; then
        why=$(broken "$folder" "$package")
        if [ -z "$why" ] && [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ]; then
            return
        elif [ -n "$why" ]; then
            say "$folder $why; making it anew"
            mv "$folder" "$discarded" # first, and in one step: half a removal must not look finished
            rm -rf "$discarded"
        else
            say "bringing $folder up to date"
        fi
    fi
    if [ ! -d "$folder" ]; then
        need_python
        need_space "$folder" "$gigabytes"
        say "making $folder: $words"
        mkdir "$folder" && touch "$folder/.unfinished"
        "$(find_python venv)" -m venv "$folder"
    fi
    local begin=$SECONDS
    touch "$folder/.unfinished"
    pip_install "$folder" "$@"
    printf '%s\n' "$stamp" >"$folder/.stamp"
    rm "$folder/.unfinished"
    say "$folder is ready ($((SECONDS - begin)) s, $(du -sh "$folder" | cut -f1)B)"
}

# The test environment serves the demo as well, so a smaller request never undoes a larger one.
program() { # extras
    local digest
    digest=$(cat setup.cfg pyproject.toml "$CONSTRAINTS/app.txt" | sha256sum | cut -c1-16)
    if [ "$1" = postgres,demo ] && [ "$(cat .venv/.stamp 2>/dev/null)" = "$digest postgres,test" ]; then
        set -- postgres,test
    fi
    environment .venv "$digest $1" torch 9 "the program with PyTorch, about 6 GB and 3 minutes" \
        -c "$CONSTRAINTS/app.txt" -e ".[$1]"
}

label_studio() {
    local digest
    digest=$(sha256sum <"$CONSTRAINTS/label-studio.txt" | cut -c1-16)
    environment .venv-ls "$LABEL_STUDIO $digest" label_studio 3 "Label Studio, about 1 GB and a minute" \
        -c "$CONSTRAINTS/label-studio.txt" "$LABEL_STUDIO"
}

# Every release of today that setup.cfg and Label Studio allow. What an older release needed and today's does not stays
# in the environment and in the list, where it does no harm; `make clean` first for a list without it.
renew() {
    program postgres,test
    label_studio
    local newest=(--upgrade --upgrade-strategy eager)
    say "taking today's releases"
    rm -f .venv/.stamp .venv-ls/.stamp # if this is interrupted, the next command goes back to the versions named
    pip_install .venv "${newest[@]}" -e ".[postgres,demo,export,test]"
    pip_install .venv-ls "${newest[@]}" "$LABEL_STUDIO"
    write_down app .venv --exclude-editable
    write_down label-studio .venv-ls
    say "written to $CONSTRAINTS; commit it if \`make test\` passes, else \`git checkout $CONSTRAINTS\`"
}

# Write the versions of an environment to its list and show what changed.
write_down() { # list folder pip-freeze-arguments...
    local list=$CONSTRAINTS/$1.txt before=.cache/$1.before folder=$2
    shift 2
    cat "$list" >"$before"
    "$folder/bin/python" -m pip freeze --disable-pip-version-check "$@" >"$list"
    say "$list:"
    changes "$before" "$list" >&2
}

changes() { # before after: a line for each package that changed, came or went
    awk -F== '
        FILENAME == ARGV[1] { old[$1] = $2; next }
        { new[$1] = $2 }
        !($1 in old) { print "            " $1 " " $2 " added"; next }
        old[$1] != $2 { print "            " $1 " " old[$1] " -> " $2 }
        END { for (name in old) if (!(name in new)) print "            " name " " old[name] " removed" }
    ' "$1" "$2" | sort | grep . || echo "            nothing changed"
}

system() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
    [ ${#missing[@]} = 0 ] && return
    mkdir -p .cache
    if can_install; then
        apt_install "${missing[@]}"
    else
        say "not installed: ${missing[*]}; the tests that need them say so."
        say "To fix it: sudo apt-get install ${missing[*]}"
    fi
}

case "${1:-}" in
    app) program postgres,demo ;;
    test) program postgres,test ;;
    label-studio) label_studio ;;
    system) system ;;
    renew) renew ;;
    *) fail "usage: scripts/env.sh app | test | label-studio | system | renew" ;;
esac
