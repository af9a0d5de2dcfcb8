"""Words that end in a full stop without ending the sentence, for English and German."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StopWords:
    """All in lower case, abbreviations without their last full stop.

    After `never_last` the sentence goes on; after `maybe_last` it ends if the next word is one of
    `starters`; `before_number` matter when a number follows. `ordinals`: a number with a full stop
    may be an ordinal ("am 3. Mai").
    """

    never_last: frozenset[str]
    maybe_last: frozenset[str]
    before_number: frozenset[str]
    starters: frozenset[str]
    ordinals: bool


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = StopWords(
    never_last=_words(
        "mr mrs ms mx messrs mme mlle dr prof st rev hon gen col sgt capt cpt lt cpl maj adm cmdr"
        " sen rep gov pres supt insp vs cf ca approx resp viz mt ft e.g i.e eg ie esp incl est dept"
    ),
    maybe_last=_words("inc ltd co corp bros jr sr al"),
    before_number=_words(
        "no nos nr vol vols p pp ch sec art par fig figs eq eqs op cl jan feb mar apr jun jul aug"
        " sep sept oct nov dec"
    ),
    starters=_words(
        "the a an this that these those there here it its he she they we i you his her their our my"
        " your in on at by for from with to and but or so if when while where what who why how as"
        " after before since because although though however then now not no all some many most"
        " one two both each every please let yes next later today meanwhile finally"
    ),
    ordinals=False,
)

_GERMAN = StopWords(
    never_last=_words(
        "dr prof st mr mrs hr hrn fr frl dipl ing med phil jur vs ca bzw bzgl evtl ggf ggfs inkl"
        " exkl einschl zzgl vgl resp sog sogen geb gest röm gr kl min mind ehem allg bes betr franz"
        " engl dt lat insb insbes hrsg hg tel jh jhd jhdt mio mrd tsd std sek zb dh ua"
        " z.b d.h u.a z.t u.u o.g s.o s.u m.e i.a i.d.r"
    ),
    maybe_last=_words("usw usf etc co gmbh jr sen al chr"),
    before_number=_words("nr s art abs abschn bd kap ziff abb tab str az vol"),
    starters=_words(
        "der die das den dem des ein eine einen einem einer dieser diese dieses jener jene es"
        " er sie wir ihr ich du man mein meine sein seine unser unsere in im an am auf aus bei"
        " für mit nach von vom zu zum zur und aber oder doch denn wenn als während weil obwohl"
        " da dann danach dort hier heute morgen jetzt nun so wie was wer wo warum wann alle"
        " viele manche einige kein keine nicht auch nur noch schon bitte ja nein später"
        " schließlich jedoch trotzdem"
    ),
    ordinals=True,
)


def stop_words(language: str) -> StopWords:
    """The words of this language ("en", "de-AT"); English ones for a language not known here."""
    return _GERMAN if language.lower().partition("-")[0] == "de" else _ENGLISH
