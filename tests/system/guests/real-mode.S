# Real mode: segments, the interrupt table, 16-bit addresses and stacks (SDM vol. 3B §21.1).
.include "report.inc"

.set HANDLED, 64               # vectors with a handler

.macro TEST name
    pushl $.Lname\@
    calll print_text
    .pushsection .text, 1
.Lname\@: .asciz "T \name\n"
    .popsection
.endm

.macro CHECK got, want
    pushl \want
    pushl \got
    pushl $LINE
    calll check
.endm

# The handler's variables lie in the segment FAULTS/16.
.set V, FAULTS

.macro EXPECT_RESUME label
    pushw %ds
    pushw $FAULTS>>4
    popw %ds
    movl $\label, resume_rip-V
    movl $-1, fault_vector-V
    popw %ds
    movl %esp, %fs:resume_rsp-V
.endm

.macro FAULT vector, insn:vararg
    EXPECT_RESUME .Lresume\@
.Linsn\@: \insn
.Lresume\@:
    CHECK %fs:fault_vector-V, $\vector
    CHECK %fs:fault_rip-V, $.Linsn\@
.endm

.macro PASS insn:vararg
    EXPECT_RESUME .Lresume\@
    \insn
.Lresume\@:
    CHECK %fs:fault_vector-V, $-1
.endm

.text
    START_REAL
    movw $FAULTS>>4, %ax
    movw %ax, %fs
    # The interrupt table.
    xorw %di, %di
    movl $stubs, %eax
    movw $HANDLED, %cx
    cld
1:  stosl
    addl $8, %eax
    loop 1b

    TEST "registers after reset"
    movl %cr0, %eax
    andl $0x80000001, %eax
    CHECK %eax, $0
    smsw %ax
    andw $1, %ax
    movzwl %ax, %eax
    CHECK %eax, $0

    TEST "INT and IRET"
    movw $handler_int, 0x41*4
    movw $0, 0x41*4+2
    sti
    pushfl
    popl %ebx
    movl %esp, %ecx
    int $0x41
1:  pushfl
    popl %edx
    cli
    CHECK %ebx, %edx
    movl %esp, %edx
    CHECK %edx, %ecx
    CHECK %eax, $1b
    movl %fs:note-V, %eax
    andl $0x300, %eax
    CHECK %eax, $0
    TEST "the table's limit"
    lidtl short_table
    FAULT 13, int $0x41
    lidtl whole_table
    TEST "a handler in another segment"
    movw $handler_int-0x100, 0x41*4
    movw $0x10, 0x41*4+2
    int $0x41
1:  CHECK %eax, $1b
    CHECK %fs:note+4-V, $0x10

    TEST "a segment's base is its selector times 16"
    movw $0x1234, %ax
    movw %ax, %es
    movl $0x55667788, %es:0x10
    movw $0x1000, %ax
    movw %ax, %es
    movl %es:0x2350, %eax
    CHECK %eax, $0x55667788
    movw $0xffff, %ax
    movw %ax, %es
    # A20: 0xffff0 + 0x10 is 1 MiB, not 0.
    movl $0x11223344, 0x500
    movl $0x99887766, %es:0x510
    CHECK 0x500, $0x11223344
    TEST "limits"
    xorw %ax, %ax
    movw %ax, %es
    FAULT 13, movw %es:0xffff, %ax
    FAULT 13, movl %es:0xfffd, %eax
    PASS movb %es:0xffff, %al
    movl $0x10000, %ebx
    FAULT 13, movb (%ebx), %al
    movl $0xffff, %ebx
    FAULT 13, movw (%ebx), %ax
    TEST "16-bit addresses wrap"
    movw $0x8000, %bx
    movw $0x8500, %si
    movl (%bx,%si), %eax
    CHECK %eax, $0x11223344
    movl $0x12348000, %ebx
    movl (%bx,%si), %eax
    CHECK %eax, $0x11223344
    leaw 0xffff(%bx), %cx
    movzwl %cx, %ecx
    CHECK %ecx, $0x7fff
    TEST "the stack segment"
    movw $0xffff, %bp
    FAULT 12, movw (%bp), %ax
    FAULT 12, movl -2(%bp), %eax
    TEST "the stack wraps"
    movl %esp, %edx
    movl $0x11112222, %eax
    movw $2, %sp
    pushw %ax
    movw %sp, %bx
    pushw %ax
    movw %sp, %cx
    movl %edx, %esp
    movzwl %bx, %ebx
    movzwl %cx, %ecx
    CHECK %ebx, $0
    CHECK %ecx, $0xfffe
    # The first word went over the interrupt table.
    movl $stubs, 0
    TEST "far CALL and RET"
    movl %esp, %ecx
    lcall $0x10, $far_target-0x100
1:  CHECK %eax, $1b
    CHECK %ebx, $0x10
    movl %esp, %edx
    CHECK %edx, %ecx
    pushw $0
    pushw $1f
    lret
1:  ljmp $0x20, $1f-0x200
1:  movw %cs, %ax
    movzwl %ax, %eax
    CHECK %eax, $0x20
    ljmp $0, $1f
1:
    TEST "far pointers"
    movw $0x4321, 0x600
    movw $0x1111, 0x602
    lesw 0x600, %di
    movw %es, %ax
    movzwl %ax, %eax
    CHECK %eax, $0x1111
    movzwl %di, %edi
    CHECK %edi, $0x4321
    TEST "segments cannot fault"
    movw $0xffff, %ax
    PASS movw %ax, %gs
    TEST "undefined in real mode"
    FAULT 6, sldt %ax
    FAULT 6, str %ax
    FAULT 6, lldt %ax
    FAULT 6, ltr %ax
    FAULT 6, lar %ax, %ax
    FAULT 6, verr %ax
    FAULT 6, arpl %ax, %ax
    FAULT 6, movw %ax, %cs
    TEST "exceptions"
    xorw %cx, %cx
    FAULT 0, divw %cx
    movw $0x3ff, %ax
    movb $1, %cl
    FAULT 0, divb %cl
    movw $5, %ax
    movl $0x00040001, 0x600
    FAULT 5, boundw %ax, 0x600
    movl $0x00050001, 0x600
    PASS boundw %ax, 0x600
    EXPECT_RESUME 1f
    movb $0x7f, %al
    incb %al
    into
1:  CHECK %fs:fault_vector-V, $4
    CHECK %fs:fault_rip-V, $1b
    EXPECT_RESUME 1f
    int3
1:  CHECK %fs:fault_rip-V, $1b
    FAULT 6, ud2
    TEST "LOCK where there is none"
    FAULT 6, .byte 0xf0, 0x90
    FAULT 6, .byte 0xf0, 0x01, 0xc0
    PASS lock addw %ax, 0x600
    TEST "single step"
    EXPECT_RESUME 1f
    pushw $0x102
    popfw
    nop
1:  CHECK %fs:fault_vector-V, $1
    CHECK %fs:fault_rip-V, $1b
    TEST "PUSHA and POPA"
    movl $0x11110001, %eax
    movl $0x22220002, %edi
    movl %esp, %ebx
    pushaw
    movw $0, %ax
    movw $0, %di
    popaw
    CHECK %eax, $0x11110001
    CHECK %edi, $0x22220002
    movl %esp, %edx
    CHECK %edx, %ebx
    TEST "ENTER and LEAVE"
    movw $0x5678, %bp
    movw %sp, %bx
    enterw $8, $0
    movw %bp, %ax
    subw %sp, %ax
    movzwl %ax, %eax
    CHECK %eax, $8
    leavew
    movzwl %bp, %ebp
    CHECK %ebp, $0x5678
    TEST "LOOP counts CX, JECXZ ECX"
    movl $0x10002, %ecx
    xorl %eax, %eax
1:  incl %eax
    loop 1b
    CHECK %eax, $2
    CHECK %ecx, $0x10000
    xorl %eax, %eax
    jcxz 1f
    incl %eax
1:  CHECK %eax, $0
    jecxz 1f
    incl %eax
1:  CHECK %eax, $1
    TEST "string instructions use SI and DI"
    movl $0x12340600, %esi
    movl $0x12340700, %edi
    movl $0x12340004, %ecx
    movl $0xcafebabe, 0x600
    xorw %ax, %ax
    movw %ax, %es
    rep movsb
    CHECK 0x700, $0xcafebabe
    CHECK %esi, $0x12340604
    CHECK %edi, $0x12340704
    CHECK %ecx, $0x12340000
    TEST "running off the segment's end"
    movb $0x90, 0xffff
    EXPECT_RESUME 1f
    ljmp $0, $0xffff
1:  CHECK %fs:fault_vector-V, $13
    THE_END

handler_int:
    popw %ax
    pushw %ax
    movzwl %ax, %eax
    pushfl
    popl %fs:note-V
    movw $0, %fs:note+6-V
    movw %cs, %fs:note+4-V
    iretw
far_target:
    popw %ax
    pushw %ax
    movzwl %ax, %eax
    movw %cs, %bx
    movzwl %bx, %ebx
    lretw
short_table:
    .word 0x40*4
    .long 0
whole_table:
    .word 0x3ff
    .long 0

    .balign 8
stubs:
    .set vector, 0
    .rept HANDLED
    .balign 8
    pushw $vector
    jmp common_handler
    .set vector, vector + 1
    .endr
common_handler:
    popw %fs:fault_vector-V
    movw $0, %fs:fault_vector+2-V
    popw %fs:fault_rip-V
    movw $0, %fs:fault_rip+2-V
    popw %fs:fault_cs-V
    popw %fs:fault_flags-V
    movl %fs:resume_rsp-V, %esp
    jmp *%fs:resume_rip-V

check:
    pushl %eax
    movl 12(%esp), %eax
    cmpl 16(%esp), %eax
    popl %eax
    jne 1f
    retl $12
1:  pushl %eax
    pushl %ecx
    pushl %edx
    PRINT 'F'
    PRINT 32
    movl 16(%esp), %eax
    calll print_hex
    movl 20(%esp), %eax
    calll print_hex
    movl 24(%esp), %eax
    calll print_hex
    PRINT 10
    popl %edx
    popl %ecx
    popl %eax
    retl $12
print_hex:
    PRINT_HEX
    retl
print_text:
    pushl %eax
    pushl %esi
    movl 12(%esp), %esi
1:  movb %cs:(%si), %al
    incw %si
    testb %al, %al
    jz 2f
    outb %al, $REPORT_PORT
    jmp 1b
2:  popl %esi
    popl %eax
    retl $4
    LEAVE_ROUTINE
