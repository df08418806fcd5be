"""Builds the web console. `make console` runs this; it puts the built files where the edge serves them, to be committed."""

import gzip
import sys
import tempfile
from pathlib import Path

import msgspec

from services.edge.api.__main__ import text as api_document
from tests import node

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "console"
BUILT = ROOT / "services" / "edge" / "console"
TYPES = SOURCES / "src" / "api" / "types.ts"
LANGUAGES = ("en", "zh")


class Chunk(msgspec.Struct, frozen=True):
    """One entry of Vite's manifest: a file, what it needs at once, and its styles."""

    file: str
    imports: tuple[str, ...] = ()
    css: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()


def build(into: Path) -> None:
    """Build the console into a folder, which has nothing else afterwards.

    Raises:
        tests.node.NodeFailed: the sources cannot be built.
    """
    node.install(SOURCES)
    node.run(
        SOURCES,
        "node_modules/vite/bin/vite.js",
        "build",
        "--logLevel",
        "warn",
        "--outDir",
        into,
        "--emptyOutDir",
    )


def check() -> None:
    """Check types and style of the sources.

    Raises:
        tests.node.NodeFailed: with what was found.
    """
    node.install(SOURCES)
    node.run(SOURCES, "node_modules/typescript/bin/tsc", "--noEmit")
    node.run(SOURCES, "node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings")


def write_types(into: Path) -> None:
    """Write the types of the API as its document says them."""
    node.install(SOURCES)
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        document.write_text(api_document())
        cli = "node_modules/openapi-typescript/bin/cli.js"
        node.run(SOURCES, cli, document, "--output", into, "--default-non-nullable=false")


def first_page(built: Path, language: str) -> dict[str, int]:
    """Return what a visitor of `/` loads, file by file, with its size in bytes after gzip."""
    chunks = msgspec.json.decode((built / "manifest.json").read_bytes(), type=dict[str, Chunk])
    names = {"index.html"}
    files: set[str] = set()
    waiting = [
        "index.html",
        "src/pages/public/Landing.tsx",
        f"src/locales/{language}/common.json",
        f"src/locales/{language}/public.json",
    ]
    while waiting:
        chunk = chunks[waiting.pop()]
        files |= {chunk.file, *chunk.css, *chunk.assets}
        waiting += [each for each in chunk.imports if each not in names]
        names |= set(chunk.imports)
    return {file: _packed_bytes(built / file) for file in sorted({"index.html", *files})}


def _packed_bytes(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), mtime=0))


def main() -> int:
    """Write the types and the built files, and say how much a visitor loads."""
    try:
        write_types(TYPES)
        build(BUILT)
    except node.NodeFailed as error:
        sys.stderr.write(f"The console cannot be built.\n{error}\n")
        return 1
    for language in LANGUAGES:
        total = sum(first_page(BUILT, language).values())
        sys.stdout.write(f"The first page ({language}) is {total / 1000:.0f} KB compressed.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
