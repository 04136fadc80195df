# Shared by the scripts beside it: installing what a fresh Debian machine lacks. Source it, don't run it.
# shellcheck shell=bash

# The oldest Rust that builds Culvert; the same figure stands in Cargo.toml as rust-version.
rust_minimum=1.90

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# as_root COMMAND...: runs it as root, through sudo when needed.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this step needs root: run the script as root, or install sudo"
    fi
}

# need_packages PACKAGE...: installs those that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "please install: ${missing[*]} (this script installs them by itself on Debian only)"
    say "Installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# need_rust: makes sure a recent cargo is on the PATH.
need_rust() {
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    if command -v cargo >/dev/null; then
        local version
        version=$(cargo --version | awk '{print $2}')
        if [ "$(printf '%s\n%s\n' "$rust_minimum" "$version" | sort -V | head -n1)" = "$rust_minimum" ]; then
            return 0
        fi
        say "cargo $version is older than $rust_minimum; installing the current stable Rust with rustup"
    else
        say "Installing the current stable Rust with rustup"
    fi
    need_packages curl ca-certificates
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal --component clippy,rustfmt
    . "$HOME/.cargo/env"
}

# need_cargo_tool NAME: installs a cargo subcommand when it is missing.
need_cargo_tool() {
    command -v "$1" >/dev/null && return 0
    say "Installing $1"
    cargo install --locked --quiet "$1"
}
