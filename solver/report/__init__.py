"""What a run did, as one HTML file: from journals to a page that opens from disk and asks nothing of any network.

journals -> runs (`read`) -> losses, comparison, charts -> page
"""

from solver.report.page import write_report

__all__ = ["write_report"]
