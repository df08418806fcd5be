"""All mutants by name."""

from tests.mutants import limits, money, operators, people, prices, records, services, streams
from tests.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for part in (money, limits, streams, services, prices, people, operators, records)
    for mutant in part.MUTANTS
}
