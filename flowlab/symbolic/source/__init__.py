"""Flow equations as source text of other languages, printed from their straight-line program."""

from flowlab.symbolic.source.language import languages as languages
from flowlab.symbolic.source.write import to_source as to_source
