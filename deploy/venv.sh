# shellcheck shell=bash
# Sourced: turns a fresh checkout into one whose .venv holds exactly the locked packages.
#
# Call `make_venv run`, or `make_venv test` for what the tests need too. Nothing outside the checkout
# is written, but for the Debian package python3-venv where it is missing.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$checkout/.venv
python=${PYTHON:-/usr/bin/python3}
exec </dev/null # nothing here ever asks

die() { # CODE LINE...
    local code=$1
    shift
    printf '%s\n' "$@" >&2
    exit "$code"
}

debian_packages() { # NAME...: have these installed, or exit 3 with the one line to type
    local missing=() name as_root line
    for name; do
        dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null |
            grep -qx installed || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    line="apt-get update && apt-get install -y ${missing[*]}"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=(env)
    elif sudo -n true 2>/dev/null; then
        as_root=(sudo -n env)
    else
        if command -v sudo >/dev/null; then line="sudo sh -c '$line'"; else line="su -c '$line'"; fi
        die 3 "This needs Debian's ${missing[*]}. Type the next line, then try again:" "$line"
    fi
    echo "Installing Debian's ${missing[*]}"
    if ! apt_update || ! "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install --yes \
        --quiet=2 --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null; then
        die 3 "That failed: see what apt-get says above. When it is put right, type as root:" "$line"
    fi
}

apt_update() { # by "${as_root[@]}"
    # A new Pi is updating itself, and DPkg::Lock::Timeout does not cover the lock on the lists.
    local output deadline=$((SECONDS + 300))
    until output=$("${as_root[@]}" LC_ALL=C apt-get --quiet=2 update 2>&1); do
        [[ $output == *'Could not get lock'* && $SECONDS -lt $deadline ]] || break
        sleep 2
    done
    [ -z "$output" ] || printf '%s\n' "$output" >&2
    [[ $output != *E:* ]]
}

check_python() { # exit 3 unless $python can run this program and make a venv
    if [ -z "${PYTHON-}" ] && [ ! -e "$python" ] && command -v apt-get >/dev/null; then
        debian_packages python3-venv
    fi
    "$python" --version >/dev/null 2>&1 ||
        die 3 "$python cannot be run. Install Python 3.11 or newer, or name one: PYTHON=... $0"
    "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die 3 "$("$python" --version 2>&1) is too old ($python): 3.11 or newer is needed." \
            "Where a newer one is installed, name it: PYTHON=... $0"
    "$python" -I -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        die 3 "$python is a 32-bit program: a 64-bit system (x86-64 or aarch64) is needed." \
            'For a Raspberry Pi 3 or newer there is the 64-bit Raspberry Pi OS.'

    # Debian's python3 has the module venv, but not what `python3 -m venv` needs: it fails half-way.
    if ! "$python" -I -c 'import ensurepip, venv' 2>/dev/null; then
        case $(command -v "$python") in
        /usr/bin/python3 | /usr/bin/python3.*)
            ! command -v apt-get >/dev/null || debian_packages "$(basename "$python")-venv"
            ;;
        esac
        "$python" -I -c 'import ensurepip, venv' 2>/dev/null ||
            die 3 "$python has no module ensurepip: install the package of your system that has it."
    fi
}

pip_install() { # FOLDER ARGUMENT...: with the venv's own pip and the user's pip configuration
    local folder=$1
    shift
    # --no-user, since a venv refuses the `user = true` that a pip.conf may hold.
    "$folder/bin/python" -I -m pip --quiet --no-input --disable-pip-version-check \
        install --no-user "$@" ||
        die 3 'The packages could not be installed: see what pip says above, then try again.'
}

make_venv() { # run|test
    local purpose=$1 key
    exec 9<"$checkout/deploy" # one at a time; a lock on the folder leaves no file behind
    flock 9
    check_python

    # The inputs of the venv: an update of Python, a moved checkout, a pulled lock or pyproject.toml
    # (scripts, version) makes a new one.
    key=$(
        echo "$checkout"
        "$python" -I -c 'import sys; print(sys.executable, sys.version)'
        cd "$checkout" && sha256sum pyproject.toml deploy/requirements.lock
    )
    if ! cmp --silent "$venv/made-of" - <<<"$key"; then
        build_venv
        echo "$key" >"$venv.part/made-of"
        rm -rf "$venv"
        mv "$venv.part" "$venv"
    fi

    key=$(sha256sum <"$checkout/deploy/requirements-dev.lock")
    if [ "$purpose" = test ] && ! cmp --silent "$venv/made-of-dev" - <<<"$key"; then
        echo 'Installing what the tests need'
        rm -f "$venv/made-of-dev"
        pip_install "$venv" --require-hashes -r "$checkout/deploy/requirements-dev.lock"
        echo "$key" >"$venv/made-of-dev"
    fi
    exec 9<&-
}

add_page() { # what `indexer web` needs beyond `make_venv run`; part of `make_venv test`
    local key
    exec 9<"$checkout/deploy"
    flock 9
    key=$(sha256sum <"$checkout/deploy/requirements-web.lock")
    if ! cmp --silent "$venv/made-of-web" - <<<"$key"; then
        echo 'Installing what the page needs'
        rm -f "$venv/made-of-web"
        pip_install "$venv" --require-hashes -r "$checkout/deploy/requirements-web.lock"
        echo "$key" >"$venv/made-of-web"
    fi
    exec 9<&-
}

build_venv() { # .venv.part, complete
    local part=$venv.part packages
    echo "Setting up $venv (once; about a minute):"
    rm -rf "$part"
    echo "  1 of 3: an environment of $("$python" --version 2>&1)"
    "$python" -I -m venv --prompt music-indexer "$part" ||
        die 3 "$python could not make $part: see above, then try again."
    mapfile -t packages < <(sed -n 's/^\([a-z0-9._-]*\)==.*/\1/p' "$checkout/deploy/requirements.lock")
    echo "  2 of 3: ${#packages[@]} packages: ${packages[*]}" | fold -s -w "${COLUMNS:-80}"
    pip_install "$part" --require-hashes -r "$checkout/deploy/requirements.lock"
    echo '  3 of 3: this program'
    # Editable, so that a `git pull` is enough; built with the hatchling of the lock file.
    pip_install "$part" --no-deps --no-build-isolation --editable "$checkout"
    # Scripts name their interpreter by its full path, which is about to change.
    grep --null -rlIF /.venv.part "$part/bin" "$part/pyvenv.cfg" |
        xargs --null sed -i 's|/\.venv\.part|/.venv|g'
}
