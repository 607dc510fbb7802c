# shellcheck shell=bash
# Sourced: a chroot like a Debian that was installed a minute ago, for what tries the last commit there.
#
# Call `inside_a_namespace "$@"` first: it runs the script again in a namespace of its own, so that no
# mount outlives it, however it ends. Then `$root` is the folder for the chroot, and
# `make_chroot SUITE PACKAGE,PACKAGE` fills it. Needs root and the network.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
root=''

inside_a_namespace() { # ARGUMENT...: of the script
    if [ "${1-}" = --inside ]; then
        root=$2
        return
    fi
    # shellcheck source=deploy/venv.sh
    source "$checkout/deploy/venv.sh"
    [ "$(id -u)" -eq 0 ] || die 3 'A chroot can only be made by root.'
    debian_packages debootstrap
    local scratch
    scratch=$(mktemp -d)
    # shellcheck disable=SC2064 # as it is now
    trap "rm -rf '$scratch'" EXIT
    unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$scratch/root" "$@"
    exit
}

step() {
    printf -- '--- %s\n' "$1"
}

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}

run_as() { # USER COMMAND...: in the chroot, with nothing of this environment but what the network needs
    local user=$1 kept
    shift
    mapfile -t kept < <(env | grep -iE '^(PIP_[A-Z_]+|SSL_CERT_FILE|SSL_CERT_DIR|[a-z]+_proxy)=')
    chroot --userspec="$user" "$root" env -i "${kept[@]}" LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME="$(chroot "$root" getent passwd "$user" | cut -d: -f6)" "$@"
}

make_chroot() { # SUITE PACKAGE,...
    local suite=$1 included=$2 mirror settings named path
    step "debootstrap $suite"
    # The mirror of this machine has the other releases, too; the one for security updates has not.
    # shellcheck disable=SC2016 # these are apt-get's
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' | sed -n 's/^[a-z]* //p' | head -n 1)
    debootstrap --variant=minbase --include="$included" "$suite" "$root" \
        "${mirror:-http://deb.debian.org/debian}" >"$root.log" || {
        tail -n 20 "$root.log"
        fail 'debootstrap'
    }
    mount -t proc proc "$root/proc"
    mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666 # for what looks like a terminal
    mount -t tmpfs tmpfs "$root/dev/shm" # for multiprocessing's locks

    step "this machine's way to the network"
    cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump | grep -iE '^Acquire::(https?|ftp|Check|Retries|Force)' >"$root/etc/apt/apt.conf.d/90machine" || true
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    run_as root update-ca-certificates >/dev/null 2>&1
    for settings in /etc/pip.conf /etc/xdg/pip ~/.config/pip ~/.pip "${PIP_CONFIG_FILE:-/etc/pip.conf}"; do
        [ ! -e "$settings" ] || cp -r --parents "$settings" "$root"
    done
    # What those settings name may lie on this machine: certificates, folders, indexes.
    "$checkout/.venv/bin/python" -I -m pip config list | grep -oE "(file://)?/[^'\\ ]+" | sort -u |
        while read -r named; do
            path=${named#file://}
            # An index's pages link to files beside it.
            [ "$path" = "$named" ] || path=$(dirname "$path")
            if [ -d "$path" ]; then
                mkdir -p "$root$path"
                mount --bind -o ro "$path" "$root$path"
            elif [ -f "$path" ] && [ ! -e "$root$path" ]; then
                cp --parents "$path" "$root"
            fi
        done
}
