"""Runs the simulator until SIGTERM or SIGINT: `python -m services.simulator --port 9000 --defaults "tps=100"`."""

import asyncio
import signal

import click
import uvloop

from services.simulator.server import Simulator
from shared.errors import InvalidRequest


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65_535), help="Port to listen on; 0 takes a free one."
)
@click.option("--defaults", default="", help="Directive for every request, such as 'tps=100 out=50'.")
@click.option("--seed", default=0, show_default=True, help="Equal seeds give equal answers.")
def main(host: str, port: int, defaults: str, seed: int) -> None:
    """Answer as an OpenAI-compatible provider, with the faults that a request asks for. No model is called."""
    try:
        simulator = Simulator(host, port, defaults, seed)
    except InvalidRequest as error:
        raise click.BadParameter(str(error), param_hint="--defaults") from error
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_run(simulator))
        except OSError as error:
            raise click.ClickException(
                f"The simulator cannot listen on {host}:{port}: {error.strerror}."
            ) from error


async def _run(simulator: Simulator) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with simulator:
        click.echo(f"The simulator answers on {simulator.url}")
        await stopped.wait()


if __name__ == "__main__":
    main()
