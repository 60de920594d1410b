"""Names for containers that were given none: an adjective and a river, ``quiet_danube``."""

from __future__ import annotations

import os

_ADJECTIVES = """
able airy amber ample apt arch avid azure balmy blithe blue bold brave breezy brief bright brisk broad bronze calm
candid chief clear clever coral cosy crisp daring deep deft dewy dry eager early easy exact fair fast fine firm fit
fleet fond frank free fresh frosty full gentle glad golden good grand green hale happy hardy hazy honest humble ideal
jade jolly keen kind large late lean light lively loyal lucid lunar mellow merry mild misty modest neat new nimble
noble novel olive open pale patient placid plain polite proud pure quick quiet rapid ready rosy round royal sandy
sharp silver simple sleek smart snowy snug soft solar solid sound spry steady still strong sunny super sure sweet
swift tame tidy tiny topaz tranquil true upbeat vast vivid warm wary wide wild wise witty young zesty
""".split()
_RIVERS = """
aare adige aire aisne alma amazon amur arno avon bann barrow benue bow cam cauca charente cher clyde colne congo dart
dee demer dnieper dniester don douro drava drina dvina ebro eider elbe ems erne exe eure fal forth fraser gambia
ganges garonne glomma guadiana hudson indus inn irtysh isar isere jordan kama kemi klar krka kuban kura lea lech lee
lena liffey limpopo loire lot main marne mekong meuse mersey minho moselle murray narva neckar neisse nene neva niger
nile oder ohio oka orinoco ouse parana pechora po prut rhine rhone ruhr saale saar saone sava savern scheldt seine
severn shannon sio somme spey spree stour tagus tamar tarn taw tay tees test thames tiber tigris tisza torne trent
tweed tyne ural vaal var vardar venta vistula volga volta warta wear weser wye yangtze yonne yukon zambezi
""".split()


def suggest(attempt: int = 0) -> str:
    """A random name; from the third attempt on with a number, as the short ones seem to be taken."""
    number = int.from_bytes(os.urandom(8), "big")
    number, adjective = divmod(number, len(_ADJECTIVES))
    number, river = divmod(number, len(_RIVERS))
    name = f"{_ADJECTIVES[adjective]}_{_RIVERS[river]}"
    return name if attempt < 3 else f"{name}{number % 10000}"
