#!/usr/bin/env bash
# Set up a checkout: virtual environment, pinned packages and, on Debian as root, browser, node (for
# tests of the page) and lavapipe (Mesa's Vulkan driver for processors), in which proofs are faster
# and float16 runs.
# A second call finds its stamp and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
tag=$("$python" -c 'import sys; print("py%d%d" % sys.version_info[:2])') || {
  echo "setup: no Python found; install Python 3.10 to 3.13 or set PYTHON=/path/to/python" >&2
  exit 3
}
case $tag in
  py310|py311|py312|py313) ;;
  *) echo "setup: $tag is not supported; set PYTHON to a Python 3.10 to 3.13" >&2; exit 3 ;;
esac
pins=requirements/$tag.txt
digest=$(cat pyproject.toml scripts/setup.sh "$pins" 2>/dev/null | sha256sum | cut -c1-16)
stamp=.venv/.webslm-$tag-$digest

have_browser() {
  [ -n "${WEBSLM_BROWSER:-}" ] && return 0
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && return 0
  done
  return 1
}

have_lavapipe() {
  ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1
}

missing=()
have_browser || missing+=(chromium)
helpful=()
command -v node >/dev/null || helpful+=(nodejs)
[ "$(uname)" != Linux ] || have_lavapipe || helpful+=(mesa-vulkan-drivers)
if [ $((${#missing[@]} + ${#helpful[@]})) -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing ${missing[*]} ${helpful[*]} (Debian)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    if [ ${#missing[@]} -gt 0 ]; then
      apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    if [ ${#helpful[@]} -gt 0 ]; then
      apt-get install -y -qq --no-install-recommends "${helpful[@]}" >/dev/null ||
        echo "setup: goes on without ${helpful[*]}: without mesa-vulkan-drivers proofs are slower and" \
          "float16 is not proven, without nodejs the tests of the page fail" >&2
    fi
  elif [ ${#missing[@]} -eq 0 ]; then
    echo "setup: ${helpful[*]} would help (Debian: sudo apt-get install ${helpful[*]}):" \
      "mesa-vulkan-drivers makes proofs several times faster, nodejs runs the tests of the page" >&2
  else
    echo "setup: ${missing[*]} not found; install it (Debian: sudo apt-get install ${missing[*]})" >&2
    echo "setup: or let Playwright bring a browser: .venv/bin/playwright install chromium" >&2
  fi
fi

if [ ! -e "$stamp" ]; then
  echo "setup: virtual environment and pinned packages (once, some minutes)"
  "$python" -m venv .venv || {
    echo "setup: venv failed; on Debian: apt-get install python3-venv" >&2
    exit 3
  }
  if [ -e "$pins" ]; then
    .venv/bin/python -m pip install -q --disable-pip-version-check -r "$pins"
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
  else
    .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[dev,docs]'
  fi
  rm -f .venv/.webslm-*
  touch "$stamp"
fi
