// Command inspect lists the functions of the Go files that are its arguments, and says which of them have the form of
// a handler. A function's build runs it when the handler that was asked for does not fit, to say what would.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"strconv"
	"strings"
)

const functionsPackage = "github.com/kubeless/kubeless/pkg/functions"

// function is one function declaration, as the build reads it.
type function struct {
	Name string `json:"name"`
	// As it would stand in a sentence: func(a string) error.
	Form string `json:"form"`
	// As compilers write it: hello.go:5.
	Place string `json:"place"`
	// Whether it has the form of a handler.
	Fits bool `json:"fits"`
}

func main() {
	found := []function{}
	files := token.NewFileSet()
	for _, name := range os.Args[1:] {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, declaration := range file.Decls {
			declared, isFunction := declaration.(*ast.FuncDecl)
			if !isFunction || declared.Recv != nil {
				continue
			}
			var form strings.Builder
			if err := printer.Fprint(&form, token.NewFileSet(), declared.Type); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			found = append(found, function{
				Name:  declared.Name.Name,
				Form:  strings.Join(strings.Fields(form.String()), " "),
				Place: fmt.Sprintf("%s:%d", name, files.Position(declared.Pos()).Line),
				Fits:  fits(declared.Type, file),
			})
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// qualifier is what the file calls an imported package; "." when it needs no name.
func qualifier(file *ast.File, wanted, name string) string {
	for _, imported := range file.Imports {
		if path, err := strconv.Unquote(imported.Path.Value); err == nil && path == wanted {
			if imported.Name != nil {
				return imported.Name.Name
			}
			return name
		}
	}
	return ""
}

func fits(form *ast.FuncType, file *ast.File) bool {
	parameters, results := types(form.Params), types(form.Results)
	if form.TypeParams != nil || len(parameters) != 2 {
		return false
	}
	functions, http := qualifier(file, functionsPackage, "functions"), qualifier(file, "net/http", "http")
	if len(results) == 0 {
		request, isPointer := parameters[1].(*ast.StarExpr)
		return isPointer && isOf(parameters[0], http, "ResponseWriter") && isOf(request.X, http, "Request")
	}
	return len(results) == 2 &&
		isOf(parameters[0], functions, "Event") && isOf(parameters[1], functions, "Context") &&
		isOf(results[0], ".", "string") && isOf(results[1], ".", "error")
}

// types has one type for every parameter or result, also for those that share one.
func types(fields *ast.FieldList) []ast.Expr {
	var all []ast.Expr
	if fields == nil {
		return all
	}
	for _, field := range fields.List {
		all = append(all, field.Type)
		for i := 1; i < len(field.Names); i++ {
			all = append(all, field.Type)
		}
	}
	return all
}

func isOf(expression ast.Expr, qualifier, name string) bool {
	if qualifier == "." {
		plain, ok := expression.(*ast.Ident)
		return ok && plain.Name == name
	}
	selector, ok := expression.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := selector.X.(*ast.Ident)
	return ok && of.Name == qualifier && selector.Sel.Name == name
}
