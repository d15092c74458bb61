"""A page to which the server says the same again and again: what a test has made of a real answer."""

import copy

from tests.support.page import Watched


class Still:
    """``answers`` maps paths of the server to (status, what it says); whatever is changed in it, the page sees a second later."""

    def __init__(self, browser, origin, answers, fragment="", **options):
        self.answers = copy.deepcopy(answers)
        self.watched = Watched(browser, origin, **options)
        self.page = self.watched.page
        self.watched.context.route("**/sparrow/**", self._answer)
        self.page.goto(f"{origin}/sparrow{fragment}")

    def _answer(self, route):
        path = route.request.url.removeprefix(self.watched.origin)
        if path not in self.answers:
            route.continue_()
            return
        status, said = self.answers[path]
        if said is None:
            route.abort()
        else:
            route.fulfill(status=status, json=said, headers={"X-Next-Sample": "0.3"})

    @property
    def stats(self):
        return self.answers["/sparrow/stats"][1]

    def away(self):
        """From now on nobody answers."""
        self.answers = dict.fromkeys(self.answers, (0, None))

    def has(self, selector, words):
        """Wait until an element says so."""
        self.page.wait_for_function(
            "([one, words]) => document.querySelector(one)?.innerText.includes(words)", arg=[selector, words]
        )

    def close(self):
        self.watched.context.close()
