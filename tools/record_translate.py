"""Records how the peer translates legacy ACL rules into tests/vectors/acl/translate.json, and so what its HCL formatter does.

    tools/record_translate.py URL TOKEN     a peer's agent with ACLs, and a management token
    tools/record_translate.py URL TOKEN OURS [COUNT [FIRST]]
                                            COUNT other random texts to the agent at the URL OURS too, until it answers otherwise

Each text is [text, answer] or [text, null, error].
"""
import http.client
import json
import pathlib
import random
import sys
import urllib.parse

BY_HAND = [
    '# lead\nkey "a" { policy = "read" } # line\n\n# standalone\n\n# last', 'key "a" {\n # lead\n policy = "read" # line\n # end\n}\n',
    'key "a" {\n # standalone1\n\n # lead\n policy = "read" # line\n bb = 1 # line2\n /* b\n  l */ ccc = 2 /* x */\n # end\n}\n',
    'key "a" { # after brace\n policy = "read"\n}', 'key "a" # before brace\n{\n policy = "read"\n}',
    'key /* q */ "a" { policy /* r */ = /* s */ "read" /* t */ }', 'a = [1,2,3]', 'a = [\n1,\n2,3\n]', 'a = [\n# c\n1, # d\n2, # e\n\n3 # f\n# g\n]',
    'a = []', 'a = [\n]', 'a = {}', 'a {}', 'a { b {} }', 'a { b {} c {} }', 'a {\nb {}\nc {}\n}', 'a {\nb {}\n\nc {}\n}', 'a = [{b=1},{c=2}]',
    'a = [{b=1\nc=3},{c=2}]', 'a = [\n{b=1},\n{c=2}\n]', 'a = [[1,2],[3]]', 'a = ["x", <<EOF\nfoo\nEOF\n, 5]', 'a = <<EOF\nfoo\nEOF\nb = 5',
    'a {\n x = <<EOF\nfoo\n bar\nEOF\n y = 5\n zz = <<-EOF\n  foo\n  EOF\n}', 'a = 1\nbbb = 2\ncc = 3', 'a = 1\n\nbbb = 2\ncc = 3', 'a = 1 b = 2',
    'x { a = 1\nbbb = 2\n\ncc = 3\ndddd = 4 e = 5 }', 'x { a = 1\nbbb {c = 2}\ndd = 4\neee = [1,2]\nffff = [\n1\n]\ng = {}\nhh = 1 }',
    'a = 0x10\nb = 1e5\nc = -3\nd = 1.50\ne = true\nf="\xe9${x "y"}\\n"', 'a = 1 # x\nbbb = 2 # y\nc = "abc" # z',
    'x {\na = 1 # x\nbbb = 2 # y\nc = "abc" # z\n}', '\r\na = 1 # x\r\nx {\r\n a = 1 # x\r\n b = 2\r\n}\r\n', '// a\r\n/* b\r\nc */\r\na = 1',
    '{"a":{"b":1},"c":[1,2,{"d":3}],"key":{"x":{"policy":"read"}}}', '{"a":null,"b":true,"c":"\xe9\\u0041"}', '', '# only', '\n\n', '/* a */ /* b */',
    '# a\n# b\n\n# c', 'key "a" {} key "b" {} key "c" { policy = "read" } key "d" {}', 'key {}', 'key = "a"',
    'x { key "y" { "policy" = "read" } "foo" = 1}', '"key" "a" "key" { node { key = 1 } }', 'key "a" {}\nkey "b" {}\nkey "c" {}\n\nkey "d" {}',
    'a = {}\nb = {}\nc {}\nd = 1\ne = 1', '# l\na {}\nb {} # x\nc {}\n# y\nd {}', 'a { x = 1 }\nb {}\nc {}\n',
    'a {}\nb { x = 1 }\nc {}\nd {\n}\ne{}\n', 'x {\n a = 1\n # lead b\n b = 2\n ccc = 3\n}',
    'x {\n # lead a\n a = 1\n # lead b\n b = 2\n # lead ccc\n # more\n ccc = 3\n dddd = 4 # l\n}', 'x {\n a = 1 # one\n\n bbbb = 2 # two\n}',
    'x {\n a = 1 /* p */ /* q */\n bb = 2 /* p\n q */\n c = 3\n}', 'x {\n a = "\xe9" # c\n b = "long" # d\n "\xfc" = 5\n}',
    'x {\n a = [1,2] # c\n bb = {} # d\n ccc {} # e\n}', 'x {\n a {\n }\n b = 1\n c = {\n }\n d = 2\n}', 'x { a {\n # c\n }\n b = 1 }',
    'x {\n # only\n}', 'x { /* only */ }', 'x {\n\n # a\n\n # b\n\n}', '# s1\n\n# s2\n\na = 1\n\n# s3\n\nb = 2\n# s4\n\n', '# a\n\n# b',
    '/* a\n  b */ a = 1', 'a = [1, 2, # c\n3]', 'a = [1, /* c */ 2]', 'a = [1, 2 /* c */]', 'a = [1, 2\n# c\n]', 'a = [\n# c\n]', 'a = [# c\n1]',
    'a = [{} , {}]', 'a = [\n{}, 1]', 'a = [[], []]', 'a = [[1],\n[2]]', 'a = [1,[2]]', 'a = [1,{b=1}]', 'a = [\n# l\n{b=1}, # m\n# n\n{c=1} # o\n]',
    'a = [\n1, # x\n22222, # y\n# z\n333 # w\n, # v\n]', 'a = [\n"x",\n\n"y"\n]', 'x {\n a = [\n1,\n# c\n2 # d\n]\n}', 'x { y = [{ z = [1,\n2] }] }',
    'x {\n y = [<<EOF\nfoo\nEOF\n]\n}', 'x {\n y = [1, <<EOF\n  foo\nEOF\n, 2]\n}', 'x {\n a = <<EOF\nfoo\nEOF\n # c\n b = 1\n}',
    'x {\n a = 1\n b = <<EOF\nfoo\nEOF\n c = 1\n}', 'x "a" "b" { c = 1 }', 'x y z { }', 'x = { y = { z = 1 } }', 'a = "${x\n y}"',
    'x {\n a = "${x\n y}"\n bb = 2\n}', 'x {\n y {\n z {\n a = 1\n}\n}\n}', 'x { a = 1, b = 2 }', 'x {\n a = 1, \n b = 2,\n}', 'a = 1, b = 2',
    'x {\n y {\n  z {\n   /* a\n      b */\n\n   c = 1 /* d\n  e */\n   /* f\n g */\n   d = 2\n   /* h\n i */\n  }\n }\n}',
    'x {\n /* only\n me */\n}', 'x {\n y {\n /* only\n me */\n}}', 'x {\n y = [\n /* a\n b */\n 1, /* c\n d */\n 2\n]\n}', 'key\n# c\n"a" {}',
    'key\n# c\n"a" { b = 1 }', '# d\n\nkey # c\n"a"\n# e\n{ b = 1 }', 'a = # c\n1', 'a =\n# c\n1', 'a =\n# c\n{ b = 1 }', 'a =\n# c\n[1,2]',
    '# x   \na = 1 # y  \n', '# x\t\r\na = 1', '{"a":{"b":1,\n"c":2},\n"d":[1,\n2],"e":{},"f":[],"g":[{}],"h":{"x":"y","z":{"u":1}}}',
    '{"key":{"a":{},"b":{}},\n"node":{}}', '{"x":{"a":1,"bbb":2},"y":{\n"a":1,\n"bbb":[1,2],"c":[1],"d":[\n1],"e":{"f":true}}}',
    'a = [<<EOF\nfoo\nEOF\n, <<EOF\nbar\nEOF\n]', 'a = [\n<<EOF\nfoo\nEOF\n]', 'a = [1, "${x\ny}"]', 'a = ["${x\ny}"]', 'a = ["${x\ny}", 2]',
    'a = ["${x\ny}",\n2]', 'x {\n a = ["${x\ny}"]\n}', 'x {\n a = ["${x\ny}", 2]\n}', 'a=[{b=1}]', 'a=[[1]]', 'a=[[[1]]]',
    'x {\n a=[[[1],[2,3]], 4]\n}', 'x {\n a=[[]]\nb = 1\n}', 'a = [{\n}]', 'a=[[\n1\n]]', 'x {\n a = 1\n b = "${x\ny}"\n}',
    'x {\n b = "${x\ny}" \n\n}', 'x {\n a = 1\n b = [<<EOF\nfoo\nEOF\n]\n c = 2\n}', 'a = [\n1, # x\n22222,\n333, # y\n]',
    'a = [\n1, # x\n"long", [1], # z\n{}, # w\n333, # y\n]', 'a = [\n# l\n1,\n\n# m\n\n2,\n# n\n3\n]',
    'x {\n # s1\n\n # s2\n\n # lead\n a = 1\n # s3\n\n # s4\n\n b = 2\n # s5\n\n # s6\n}', 'a = 1\n# s1\n\n# s2\n\nb = 2', 'a {} # x\nb {} # y\nc {}',
    'a = 1 # x\n# y\nb = 2', 'a = 1 # x\n# y\n\nb = 2', 'x {\n a = 1 # x\n # y\n\n b = 2\n}', 'x {\n a = 1 # x\n # y\n}', 'a "x" /* c */ {}\nb {}',
    'a\n"x" {}\nb {}', 'a {} b {}\nc {}', 'a {\n}\n\nb {}', 'a {\n\n} b {}', 'a "q"\n{}\nb {}', 'a {\n# z\n}\nb {}\nc {}', '/* z */ a {}\nb {}\nc {}',
    'x {\n a "q" = 1\n}', 'x {\n a "q" {}\n b = 1\n cc "w" "z" {}\n}', 'x {\n a\n = 1\n b = 1\n}', 'x {\n a = \n1\n bbbb = 1\n c = \n2\n}',
    'x {\n a = { b = 1 }\n c = 2\n}', 'x {\n a = 1 b = 2\n c = 3 }', 'x {\n a = 1\n b = 2 } y {}', 'x { a = # c\n1 }', 'x {\n a = # c\n 1\n b = 2\n}',
    'a = # c\n{ b = 1 }', 'a = # c\n1\n', 'a = # c\n\n1', 'a = # c\n[\n1\n]', 'a = # c\n[1]', 'a = /* c */ # d\n1\nb = 2', '# e\na = # c\n1',
    'a = # c\n1 # d\n', 'a = # c\n# d\n1 # e\n', 'x { # q\na = # c\n1 # d\n}', 'x # q\n = # c\n 1 # d\n', 'x { # q\na = 1 }', '# q\nx { a = 1 }',
    'x { # q\na = 1\nb = 2\n}', 'a = [1, # c\n2]', 'a = [ # c\n1, 2]', 'a = [ # c\n1, 2]\n', 'a = [ # c\n1] # d\n',
    'x {\n a = 1\n /* s */ b = 2\n c = 3\n}', 'a {}\n/* s */ b {}\nc {}', 'a = [1\n# g\n]\nb = 2', 'x {\n a = 1\n # end\n}\ny = 1',
    'x {\n a = 1\n # end\n} y = 1', 'a = 1, # c\nb = 2\n', 'x { a = 1, # c\nb = 2\n}', 'x { a = 1 # c\n, b = 2\n}',
    'KEY "a" { policy = "x" "Policy" = "y" "policy" = 1 "policy" "a" {} "pol\\u0069cy" = 2 }', '"k\\u0065y" "a" {}',
    'a = [{ key = 1, "policy" = 2 }]', '{"key":[{"a":1},{"b":2}]}', '{"key":[{"a":1,"c":2},{"b":2}]}', '{"x":[{"a":1},{"b":2}]}',
    '{"x":[{"a":{"q":1},"b":{"q":2}},{"b":2}]}', '{"x":[{}]}', '{"x":[{},{}]}', '{"x":[{},1]}', '{"x":[{"a":1},1]}', '{"x":{"y":{}}}',
    '{"x":{"y":[{"a":1},{"b":2}]}}', '{"x":{"y":[{"a":1},{"b":2}],"z":1}}', '{"x":{"y":[{"a":{"b":{}}}]}}', '{"x":null,"y":[null]}',
    '{"x":[true,1.5,"a"]}', '{"x":{"y":{"z":{"w":1}}}}', '{"x":"a\\n${b"}', '{"x":[[{"a":1}]]}', '{"x":[{"a":[{"b":1},{"c":{"d":1}}]}]}',
    'x { # q\na = 1 # d\n}', 'x { # q\n# l\na = # c\n1\n}', 'x {\n # s1\n\n a = # c\n 1\n}', '# s\n\na = # c\n1', '# l\na = # c\n1',
    'x {\n a = 1\n b = # c\n 2\n cc = 3 # d\n}', 'x {\n a = 1\n b = # c\n 2\n\n cc = 3 # d\n}', 'x {\n b = # c\n 2\n cc = # d\n 3\n}',
    'x {\n b = # c\n 2 # d\n cc = 3\n}', 'x { # q\n\na = # c\n1\n}', 'x { /* q */ a = # c\n1\n}', 'x {\n/* q */ a = # c\n1\n}',
    '/* q */ a = # c\n1\n', '/* q */ a = 1 # c\n', 'x { /* q */ a = 1 # c\n}', 'x {\n b = 1\n /* q */ a = 1 # c\n}',
    'x {\n b = 1\n /* q */\n\n a = 1 # c\n}', 'x {\n b = 1\n\n /* q */ a = 1 # c\n}', 'x {\n b = 1\n\n a = # c\n 1\n}',
    'x {\n b = 1\n\n # q\n\n a = # c\n 1\n}', 'a = /* c */\n1', 'a = # c\n[ # d\n1, # e\n2 # f\n]\nb = 1', 'a # k\n= 1', 'a # k\n= 1\n',
    'x {\n a # k\n = 1\n b = 2\n}', 'x # k\n"y" { }', 'x # k\n"y" { } # z\n', 'x # k\n"y" { a = 1 }', 'x # k\n"y" {\n } # z\na = 1',
    'x { # q\n}\na = 1', 'x { # q\n}', 'x { # q\n} # r\n', 'x = { # q\n} # r\n', 'x = {} # r\n', 'x {\n} # r\n', 'x { # q\n a {} # r\n}',
    '/* q */ a = 1\nb = 2', 'x {\n /* q */ a = 1\n b = 2\n}', 'x { a {\n}\nb {}\nc = 1\n}', 'x {\n a {\n}\nb {}\nc = 1\n}', 'x {\n a {\n}\nb {}\n}',
    'x {\n a {\n}\nb = 1\nc = 1\n}', 'x {\n a {\n\n}\nb {}\nc = 1\n}', 'x {\n a {}\n\nb {}\nc = 1\n}', 'x {\n a {}\n\nb = 1\nc = 1\n}',
    'x {\n a {}\n\n\nb = 1\nc = 1\n}', 'x {\n a {}\n\nb = 1\n}', 'x {\n a {} b {} c {}\n}', 'x {\n a {} b {} c {}\nd {}\n}',
    'x {\n a {} b {} c {}\n\nd {}\n}', 'x {\n a {}\n b {c = 1}\n}', 'x {\n a {}\n b {c = 1}\n\n d {}\n\n e {}\n}', 'x {\n a {} b {c = 1}\n}',
    'x {\n a {}\n\n b {c = 1}\n}', 'x {\n a {}\n\n b {c = 1}\n d {}\n e = 1\n}', 'x {\n d {}\n\n e {}\n\n f {}\n}',
    'x {\n d {}\n\n e {} f {}\n g {}\n\n h {}\n}', 'bb /* m\n n */ = { node\n# a\n{} }', 'bb /* m */ = { node\n# a\n{} }',
    'bb /* m */ = { node\n# a\n{} c {} }', 'bb = { /* m */ node\n# a\n{} }', 'bb = {\n # m\n\n node\n# a\n{} }', 'bb = {\n # m\n\n # a\nnode {} }',
    'bb = {\n # m\n\n # a\nnode = 1 }', 'bb = {\n # m\n\n node\n# a\n = 1 }', 'bb = {\n # m\n\n node = 1 }', '/* m */ node\n# a\n{}',
    '/* m */ node\n# a\n= 1', 'bb = { c = 1\n/* m */ node\n# a\n{} }', 'x { # a\n # b\n\n # c\n}',
    'x {\n # a\n # b\n\n # c\n c = 1\n # d\n # e\n\n # f\n}', 'x {\n # a\n # b\n\n # c\n # d\n\n c = 1\n # d\n # e\n\n d = 1\n}',
    '# a\n# b\n\n# c\n# d\n\na = 1\n# e\n# f\n\n# g\n# h\n', '\n\nx { a = 1\nbbb = 2\n}', '\n\nx { a = 1\nbbb = 2\ncc = 3\n}',
    '\n\nx { a {}\nbbb {}\ncc = 3\n}', '\n\nx { # q\n\n a {}\nbbb {}\ncc = 3\n}', '\n\nx {\n a = {c = 1}\n b {}\n}',
    '\n\nx {\n a = {c = 1}\n b {}\n c = 1\n}', '\n\nx {\n a = {c = 1}\n b {}\n c { a = 1}\n}', '\n\nx {\n a = 1\n b {}\n c { a = 1}\n}',
    '\n\nx {\n a = {c = 1}\n b {}\n\n c { a = 1}\n}', '\n\nx {\n a = {c = 1}\n b {} c { a = 1}\n}', '\n\nx {\n a = 1\n b {} c { a = 1}\n}',
    '\n\nx {\n /* q */ a {}\n b {}\n}', '\n\nx { /* q */ a {}\n b {}\n}', '\n\nx /* q */ { a {}\n b {}\n}', '\n\nx /* q */ { a {}\n b {}\nc {}\n}',
    '\n\nx /* q */ {\n\n a {}\n b {}\nc {}\n}', '\n\nx /* q */ {\n a {}\n b {}\nc {}\n}', '\n\nx {\n # q\n\n a {}\n b {}\nc {}\n}',
    '\n\nx {\n z = 1\n # q\n\n a {}\n b {}\nc {}\n}', '\n\nx {\n z = {q = 1}\n # q\n a {}\n b {}\nc {}\n}',
    '\n\nx {\n z = {q = 1}\n /* q */ a {}\n b {}\nc {}\n}', '\n\nx {\n z {q = 1}\n a {} b {}\nc {}\n}',
    '\n\nx {\n z {q = 1}\n a {}\n\n b {}\nc {}\n}', '\n\nx {\n z {\nq = 1}\n a {}\n\n b {}\nc {}\n}',
    'x {\n z = 1\n # q\n\n a {}\n\n\n b {}\n\n\nc {}\n\n\nd {}\n}', 'x {\n z = 1\n # q\n\n a {q = 1}\n\n\n b {q = 1}\n\n\nc {q = 1}\n\n\nd {}\n}',
    'x {\n z = 1\n # q\n\n a {q = 1}\n\n\n b {q = 1}\n\n # r\n\nc {q = 1}\n\n\nd {}\n}',
    'x {\n # q\n\n a {q = 1}\n\n\n b {q = 1}\n\n # r\n\nc {q = 1}\n\n\nd {}\n}', 'x {\n z = 1\n # q\n\n a = 1\n bbb = 1\n ccccc = 2\n\nddd = 1\n}',
    'x {\n z = 1\n # q\n\n a = 1 bbb = 1\n ccccc = 2\n\nddd = 1\n}', 'x {\n z = 1\n # q\n\n a = [\n1] bbb = 1\n ccccc = 2\n\nddd = 1\n}',
    'x {\n z = 1\n # q\n\n a = 1\n # r\n\n bbb = 1\n ccccc = 2\n\nddd = 1\n}',
    'x {\n z = 1\n # q\n\n a = 1\n # r\n bbb = 1\n ccccc = 2\n\nddd = 1\n}', 'x {\n z = 1\n # q\n\n # r\n a = 1\n bbb = 1\n ccccc = 2\n\nddd = 1\n}',
    'x {\n # q\n\n # r\n a = 1\n bbb = 1\n ccccc = 2\n\nddd = 1\n}', 'x {\n # q\n\n a = 1 # l\n bbb = 1 # m\n ccccc = 2 # n\n\nddd = 1\n}',
    'x {\n a = 1\n b = 2\n\n # q\n}', 'a = "x\x00y"\n\n', 'a = \x00 1\n\n', '# \x00 \n\n', '/* \x00 */\n\n', 'a = <<EOF\n\x00\nEOF\n\n',
    'a = <<EO\x00F\n\nEOF\n\n', 'a = <<\x00\n', 'a = <\x00\n', 'a = 1\x00\n', 'a = 0x\x00\n', 'a = 1e\x00\n', 'a = "\\\x00"\n', 'a = "\\x1\x00"\n',
    'a\x00 = 1\n', 'a \x00= 1\n\x00\n', '/\x00', 'a = "${\x00}"\n', 'a = [\x00]\n', '{"a":"x\x00y"}\n', '{"a":\x00}', '\x00', '\n\x00\n',
    '\n a = /* \x00 \n */ 1\n', 'a = 1.\x00\n', '-\x00\n', 'a=-\x00', '/"\n', '/"a"\n', '/a *\n', '/ue *\n', '/\ue123 *\n', '/\ue123 x */ \n',
    '/ *\n', '/;\n', '/=\n;', '/" x *', '/[ x *', '/\n*', '"\\400" = 1', '"\\ud800" = 1\n', '"\\U00110000" = 1', '"\\400" {}', 'x = "\\400"',
    'x = "\\U00110000"', '{"\\400":1}', '{"\\400":"\\400"}', 'key "\\400" {}', 'x { "\\400" = 1 }', '/" = 1', '/ a = "', 'a /" = "', '"a\n" = "',
    '<<EOF"EOF\n', 'a = <<EOF"EOF" ;\n', 'a = <<EOF;EOF" ;\n', 'a = <EOF" ;\n', 'a = <EOF ;\n', 'a = [<EOF ;\n', 'a = <<EOF EOF ; \n b = ;',
    'a = <<\n b = ;', 'a = <<A\nb;\n', 'a = 0x ;', 'a = 0x"', 'a = 08 ;', 'a = "\\q" ;', '"\\q" = ;', 'a = "\\q";b', '{"a":null-1}', '{"a":null_}',
    '{"a":null\xe9}', '{"a":null.5}', '{"a":true.5}', '{"a":true-5}', '{"a":n.ull}', 'x { a = [1 } ]', 'x { a = [ [] } }', 'a = [1 }',
    'a = [1 } b = 2', 'x { a = [} }', 'x { a = [ }', 'x { a = [1 }', 'x { a = [1 } b', 'x { a = [1 } b }', 'x { a = [[ } b }', 'x { a = [1 2] }',
    'x { a = [=] }', 'x { a = [a] }', 'x { a = [ { b = [1 } ] }', 'x { y { a = [1 } } }', 'x { y { a = [1 } b = } }', 'x { a = [{} } b',
    'x { a = } b = 1 }', 'x { a = [1 = } b', 'x { a = [, } b', 'x { a = [1, } b', 'x { a = [{ b = 1 } } b', 'x { a = [[1 } b', 'x { a = [[1] } b',
    'x { a }', 'x { a b }', 'x { a = [1, 2 }', 'x { a = [{b} ] }', 'x { a = { b } }', 'x { a = [{b}}', 'x { a = [{b } } }',
    'a = <<EE\nfoo\n\v\r EE\nb = 1', 'a = # b\n["x",, # c\n1]\nd = 2', 'a = [1, # b\n, # c\n, # d\n2]', 'x {\n a = 1\n b = "${\n\n}"\n}', 'x {\n a = 1\n b = "${\n\n\n}"\n}', 'a = <<E_F\nE_F\n', 'a = <<E\xe9\nE\xe9\n', 'a = <<E\n\r\nE\n',
    'a = <<-E\n\r\n  E\n', '\ufeffa = 1', 'a = 1\ufeff', 'a\ufeff = 1', '\xe9.\xe8 = 1', 'a = 1e+', 'a=1e5.5', 'a = 1.e5', 'a = 00', 'a = 0x1.5',
    'a = -0x1', 'a = 1-2', 'a = -a', 'a = +1', 'a = 1_0', 'a = nan', 'a = truex', 'a = true.x', 'true = 1', 'a = "\ud7ff\U0010ffff\u200b"',
    '/**/a/**/=/**/1/**/', '/***/', '/*/', '/*/ */ a = 1', '#\na = 1', '//\na = 1', 'a = 1//x', 'a = "//x"#y', 'a = 1 #',
    '{"a":[1,2,"\xe9",1.50,1e5,-0]}', '{"a":01}', '{"a":1} x', '{ "a" : { "b" : {} } }', '[ {} ]', '{"a" "b":1}', '{"a" "b":{}}',
    '{"key" "b":{"c":{}}}', '{a:1}', "{'a':1}", '{"a":[}', '{"a":[1}', '{"a":{"b":[1}}', '{"a":tru}', '{"a":1,}', '{,}', '{"":{"":{"":1}}}',
    '{"a":"\\q"}', '{"\\q":1}', '{"a\n":1}', '"" {}', '"a b" = 1', 'x "y" = {}', 'x\n{}\n\n\n\n', 'x{a=1\n/*c*/}', '"a"="b"#c\n"d"="e"#f',
]


class Layout:
    """Random HCL, laid out at random, with comments wherever they may stand."""
    KEYS = ["a", "bb", "ccc", '"q"', "key", '"key"', "policy", '"policy"', "service", '"\u00e9"', "node", "event", "k-x.y"]
    SCALARS = ["1", '"x"', '"long text"', "true", "1.5", "0x1F", "-2", '"\u00e9"', '"${f("x")}"', '"a\\n"', "[]", "{}", "1e3", '"${\n}"', '"${a\n  b}"']
    HEREDOCS = ["<<EOF\nfoo\n  bar\nEOF\n", "<<-E\n  foo\n  E\n", "<<EOF\nEOF\n", "<<EOF\n\nEOF\n"]
    MUTATIONS = ["", "{", "}", "[", "]", ",", "=", '"', "#", "/*", "\r", "\x00", "\ue123"]

    def __init__(self, p):
        self.p = p
        self.comments = p.choice([0, 0.05, 0.15, 0.3])

    def blank(self, newline=0.25):
        return self.p.choice(["\n", "\n", "\n\n", "\n  ", "\n\n\n"] if self.p.random() < newline else [" ", " ", "  ", "\t"])

    def comment(self, newline=0.2):
        p, out = self.p, ""
        while p.random() < self.comments:
            kind = p.random()
            if kind < 0.55:
                out += p.choice([" ", "", "\n"]) + p.choice(["# ", "// ", "#"]) + p.choice(["a", "bb", "ccc \u00e9"]) + "\n" + p.choice(["", "  ", "\n"])
            elif kind < 0.85:
                out += " /* " + p.choice("xyz") + " */" + self.blank(newline)
            else:
                out += p.choice([" ", "\n  "]) + "/* m\n" + p.choice(["", " ", "\n  "]) + "n */" + self.blank(newline)
        return out

    def space(self, newline):
        return self.blank(newline) + self.comment(newline)

    def value(self, depth):
        kind = self.p.random()
        if kind < 0.6 or depth <= 0:
            return self.p.choice(self.SCALARS)
        if kind < 0.66:
            return self.p.choice(self.HEREDOCS)
        return self.list(depth - 1) if kind < 0.83 else self.object(depth - 1)

    def list(self, depth):
        p = self.p
        out = "[" + p.choice(["", "", "\n"]) + self.comment()
        count, newline = p.randrange(5), p.choice([0, 0, 0.5, 1])
        for i in range(count):
            out += self.value(depth) if p.random() < 0.4 else p.choice(self.SCALARS)
            if i + 1 < count or p.random() < 0.3:
                out += self.comment() + "," + (self.space(newline) if p.random() < 0.9 else "")
        return out + self.comment() + p.choice(["", "\n"]) + self.comment() + "]"

    def object(self, depth):
        return "{" + self.items(depth, self.p.choice([0.2, 1, 1])) + "}"

    def item(self, depth):
        p = self.p
        newline = p.choice([0, 0, 0, 0.3])
        key = p.choice(self.KEYS)
        if p.random() < 0.65:
            return key + self.space(newline) + "=" + (self.space(newline) if p.random() < 0.8 else "") + self.value(depth)
        labels = "".join(self.space(newline) + p.choice(['"l"', '"mm"', "n", '"key"']) for _ in range(p.randrange(3)))
        body = "{}" if p.random() < 0.4 else "{\n}" if p.random() < 0.2 else self.object(depth - 1) if depth > 0 else "{}"
        return key + labels + self.space(newline) + body

    def items(self, depth, newline):
        p = self.p
        out = p.choice(["", "\n", " "]) + self.comment()
        for _ in range(p.randrange(0, 6)):
            out += self.item(depth)
            if p.random() < 0.05:
                out += self.comment() + ","
            if p.random() < newline:
                out += self.comment() + p.choice(["\n", "\n", "\n", "\n\n"]) + self.comment()
            else:
                out += self.space(0.1)
        return out + p.choice(["", "\n", " "]) + self.comment()

    def text(self):
        p = self.p
        out = self.items(p.choice([0, 1, 2, 3]), p.choice([0.1, 0.9, 1]))
        if p.random() < 0.03:
            out = out.replace("\n", "\r\n")
        return mutated(p, out, self.MUTATIONS) if p.random() < 0.05 else out


def mutated(p, text, choices):
    at = p.randrange(len(text)) if text else 0
    return text[:at] + p.choice(choices) + text[at + 1:]


def json_text(p):
    def value(depth):
        kind = p.random()
        if kind < 0.45 and depth > 0:
            return {p.choice(["a", "b", "key", "policy", "node", "service", "\u00e9"]): value(depth - 1) for _ in range(p.randrange(4))}
        if kind < 0.65 and depth > 0:
            return [value(depth - 1) for _ in range(p.randrange(4))]
        return p.choice(["x", "a\n\u0001<", "${a", "", 5, 1.5, True, None, -3])
    whole = {p.choice(["a", "b", "key", "policy", "node", "service"]): value(4) for _ in range(p.randrange(4))}
    out = json.dumps(whole, indent=p.choice([None, 2]), ensure_ascii=p.random() < 0.5)
    return mutated(p, out, ["", "{", "}", "[", "]", ",", ":", '"', "null"]) if p.random() < 0.1 else out


def random_text(seed):
    p = random.Random(seed)
    return json_text(p) if seed % 4 == 3 else Layout(p).text()


def connect(url):
    return http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=20)


def answer(connection, token, text):
    connection.request("POST", "/v1/acl/rules/translate", body=text.encode(), headers={"X-Consul-Token": token})
    response = connection.getresponse()
    body = response.read().decode()
    return [text, body] if response.status == 200 else [text, None, body.removeprefix("Bad request: ")]


def main():
    url, token, *more = sys.argv[1:]
    peer = connect(url)
    if more:
        ours, count, first = connect(more[0]), int((more + ["1000"])[1]), int((more[1:] + ["", "1000000"])[1])
        for seed in range(first, first + count):
            text = random_text(seed)
            wanted, got = answer(peer, token, text), answer(ours, token, text)
            if got != wanted:
                sys.exit("seed %d\n%s\n--- peer\n%s\n--- ours\n%s" % (seed, text, wanted[-1], got[-1]))
        print(count, "the same")
        return
    texts = list(dict.fromkeys(BY_HAND + [random_text(seed) for seed in range(1000)]))
    out = [answer(peer, token, text) for text in texts]
    path = pathlib.Path(__file__).parent.parent / "tests/vectors/acl/translate.json"
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in out) + "\n]\n")
    print(len(out), "texts", sum(len(each) == 2 for each in out), "translated")


main()
