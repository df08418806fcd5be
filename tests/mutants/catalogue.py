"""All mutants by name."""

from tests.mutants import money, prices, services, streams
from tests.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant for mutant in (*money.MUTANTS, *streams.MUTANTS, *services.MUTANTS, *prices.MUTANTS)
}
