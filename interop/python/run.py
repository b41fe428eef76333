"""Runs the tests that are named, as module or module.Class, and reports each to
the harness."""

import json
import os
import sys
import unittest


class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self.bad_before = self.bad()

    def stopTest(self, test):
        super().stopTest(test)
        with open(os.environ["WEBPUBSUB_RESULTS"], "a", encoding="utf-8") as results:
            # A class can prove something with all of its tests.
            proves = "".join(f"{feature}, " for feature in getattr(test, "proves", ()))
            name = f"{proves}{test.shortDescription() or test.id()} ({type(test).__name__})"
            print(json.dumps({"name": name, "ok": self.bad() == self.bad_before}), file=results)

    def bad(self):
        return len(self.failures) + len(self.errors) + len(self.skipped) + len(self.unexpectedSuccesses)


sys.path.insert(0, os.getcwd())
runner = unittest.TextTestRunner(resultclass=Result, verbosity=2)
outcome = runner.run(unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:]))
sys.exit(not outcome.wasSuccessful())
