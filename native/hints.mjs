/** How to install a missing program on this system. */
import { existsSync, readFileSync } from 'node:fs';

/** @typedef {'compiler' | 'python' | 'pip'} Tool */

/** @type {Record<'apt' | 'dnf' | 'zypper' | 'pacman' | 'mac', Record<Tool, string>>} */
const COMMANDS = {
  apt: {
    compiler: 'apt-get install -y g++',
    python: 'apt-get install -y python3 python3-pip',
    pip: 'apt-get install -y python3-pip',
  },
  dnf: {
    compiler: 'dnf install -y gcc-c++',
    python: 'dnf install -y python3 python3-pip',
    pip: 'dnf install -y python3-pip',
  },
  zypper: {
    compiler: 'zypper install -y gcc-c++',
    python: 'zypper install -y python3 python3-pip',
    pip: 'zypper install -y python3-pip',
  },
  pacman: {
    compiler: 'pacman -S --needed gcc',
    python: 'pacman -S --needed python python-pip',
    pip: 'pacman -S --needed python-pip',
  },
  mac: {
    compiler: 'xcode-select --install',
    python: 'xcode-select --install   (or: brew install python)',
    pip: 'python3 -m ensurepip --user',
  },
};

/** @type {[RegExp, keyof typeof COMMANDS][]} */
const FAMILIES = [
  [/debian|ubuntu|mint/, 'apt'],
  [/fedora|rhel|centos|rocky|almalinux|amzn/, 'dnf'],
  [/suse/, 'zypper'],
  [/arch|manjaro/, 'pacman'],
];

/**
 * Names the system's package manager from the text of /etc/os-release.
 * @param {NodeJS.Platform} platform
 * @param {string} osRelease
 * @returns {keyof typeof COMMANDS | undefined} undefined when the system is unknown
 */
export function packageManager(platform, osRelease) {
  if (platform === 'darwin') return 'mac';
  const ids = osRelease.split('\n').filter(line => /^ID(_LIKE)?=/.test(line));
  return FAMILIES.find(([pattern]) => pattern.test(ids.join(' ').toLowerCase()))?.[1];
}

function readOsRelease() {
  return existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
}

/**
 * The lines that install `tool`: the exact command where the system is known, else the usual ones.
 * @param {Tool} tool
 * @param {{ platform?: NodeJS.Platform, osRelease?: string, isRoot?: boolean }} [system]
 * @returns {string[]}
 */
export function installHint(tool, system = {}) {
  const { platform = process.platform, osRelease = readOsRelease(), isRoot = process.getuid?.() === 0 } = system;
  const manager = packageManager(platform, osRelease);
  if (manager === 'mac') return [COMMANDS.mac[tool]];
  const sudo = isRoot ? '' : 'sudo ';
  if (manager) return [`${sudo}${COMMANDS[manager][tool]}`];
  return [
    `Debian, Ubuntu: ${sudo}${COMMANDS.apt[tool]}`,
    `Fedora, RHEL: ${sudo}${COMMANDS.dnf[tool]}`,
    `macOS: ${COMMANDS.mac[tool]}`,
  ];
}
