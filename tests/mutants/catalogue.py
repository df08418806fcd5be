"""All mutants by name."""

from tests.mutants import limits, money, operators, people, prices, services, streams
from tests.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for part in (money, limits, streams, services, prices, people, operators)
    for mutant in part.MUTANTS
}
